"""Kind ``clap``: audio and texts in one space (CLAP) through transformers. Fetched
only.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from eadbench.zoo.card import Card
from eadbench.zoo.hub import from_folder, model_from_folder
from eadbench.zoo.kinds.clip import unit_vectors


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
        middles = [w[max(0, len(w) - max_samples) // 2 :][:max_samples] for w in waveforms]
        return unit_vectors(self._audio_features, middles, self.batch)

    def _audio_features(self, waveforms: list[np.ndarray]) -> Any:
        inputs = self.processor.feature_extractor(
            waveforms,
            sampling_rate=self.rate,
            return_tensors="pt",
            truncation="rand_trunc",
            padding="repeatpad",
        ).to(self.device)
        inputs["input_features"] = inputs["input_features"].to(self.model.dtype)
        return self.model.get_audio_features(**inputs)

    @torch.inference_mode()
    def embed_texts(self, texts: list[str]) -> torch.Tensor:
        """``(N, D)`` float32 on the CPU, L2-normalised."""
        return unit_vectors(self._text_features, texts, self.batch)

    def _text_features(self, texts: list[str]) -> Any:
        tokens = self.processor.tokenizer(
            texts, padding=True, truncation=True, max_length=77, return_tensors="pt"
        ).to(self.device)
        return self.model.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )


def load(folder: Path, card: Card, device: Any = "cpu") -> AudioText:
    """An object with ``embed_audio``, ``embed_texts`` and ``rate``."""
    from transformers import AutoModel, AutoProcessor

    return AudioText(model_from_folder(AutoModel, folder, card), from_folder(AutoProcessor, folder), device)
