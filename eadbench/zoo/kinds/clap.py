"""Kind ``clap``: audio and texts in one space (CLAP) through transformers. Fetched
only.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from eadbench.zoo.card import Card
from eadbench.zoo.hub import from_folder, model_from_folder
from eadbench.zoo.kinds.clip import unit


class AudioText:
    """Unit vectors of waveforms and of texts whose cosine says how well they match.
    ``rate`` is the sample rate that waveforms must have.
    """

    def __init__(self, model: Any, processor: Any, device: Any, batch: int = 16) -> None:
        self.model, self.processor, self.device, self.batch = (
            model.eval().to(device),
            processor,
            device,
            batch,
        )
        self.rate = processor.feature_extractor.sampling_rate

    @torch.inference_mode()
    def embed_audio(self, waveforms: list[np.ndarray]) -> torch.Tensor:
        """Mono float32 samples at ``rate`` to ``(N, D)`` float32 on the CPU,
        L2-normalised; of longer waveforms the middle stretch counts.
        """
        max_samples = self.processor.feature_extractor.nb_max_samples
        # the extractor itself would cut at random
        waveforms = [
            waveform[max(0, len(waveform) - max_samples) // 2 :][:max_samples] for waveform in waveforms
        ]
        found = []
        for start in range(0, len(waveforms), self.batch):
            given = self.processor.feature_extractor(
                waveforms[start : start + self.batch],
                sampling_rate=self.rate,
                return_tensors="pt",
                truncation="rand_trunc",
                padding="repeatpad",
            ).to(self.device)
            given["input_features"] = given["input_features"].to(self.model.dtype)
            found.append(unit(self.model.get_audio_features(**given)))
        return torch.cat(found)

    @torch.inference_mode()
    def embed_texts(self, texts: list[str]) -> torch.Tensor:
        """``(N, D)`` float32 on the CPU, L2-normalised."""
        found = []
        for start in range(0, len(texts), self.batch):
            given = self.processor.tokenizer(
                texts[start : start + self.batch],
                padding=True,
                truncation=True,
                max_length=77,
                return_tensors="pt",
            )
            given = given.to(self.device)
            found.append(
                unit(
                    self.model.get_text_features(
                        input_ids=given["input_ids"], attention_mask=given["attention_mask"]
                    )
                )
            )
        return torch.cat(found)


def load(folder: Path, card: Card, device: Any = "cpu") -> AudioText:
    """An object with ``embed_audio``, ``embed_texts`` and ``rate``."""
    from transformers import AutoModel, AutoProcessor

    return AudioText(model_from_folder(AutoModel, folder, card), from_folder(AutoProcessor, folder), device)
