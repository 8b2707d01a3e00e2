"""Kind ``sentence``: one unit vector per text, for cosines between texts.

Fetched: any encoder that transformers' AutoModel loads, with mean pooling over the
tokens (as sentence-transformers does for all-MiniLM-L6-v2). Trained: latent semantic
analysis of the training captions.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch.nn import functional as F

from eadbench.zoo.card import Card
from eadbench.zoo.hub import from_folder, model_from_folder
from eadbench.zoo.lsa import Lsa, fit_lsa
from eadbench.zoo.make import ArtefactInputs
from eadbench.zoo.text_data import training_texts


class SentenceOptions(BaseModel):
    """Options of a trained one.

    Attributes:
        dim: Dimensions kept of the latent semantic analysis.
        ngrams: Longest n-gram, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    dim: int = 64
    ngrams: int = 2


class LsaSentences:
    """Unit vectors by latent semantic analysis."""

    def __init__(self, lsa: Lsa) -> None:
        self.lsa = lsa

    def embed(self, texts: list[str]) -> torch.Tensor:
        """``(N, D)`` float32 on the CPU, L2-normalised; zero for a text without a known
        word.
        """
        return torch.from_numpy(self.lsa.embed(texts))


class TransformerSentences:
    """Unit vectors by a transformer encoder, mean over the tokens."""

    def __init__(self, model: Any, tokenizer: Any, device: Any, batch: int = 64) -> None:
        self.model, self.tokenizer, self.device, self.batch = (
            model.eval().to(device),
            tokenizer,
            device,
            batch,
        )

    @torch.inference_mode()
    def embed(self, texts: list[str]) -> torch.Tensor:
        """``(N, D)`` float32 on the CPU, L2-normalised."""
        if not texts:
            return torch.zeros(0, self.model.config.hidden_size)
        longest = min(getattr(self.model.config, "max_position_embeddings", 512), 512)
        vectors = []
        for start in range(0, len(texts), self.batch):
            tokens = self.tokenizer(
                texts[start : start + self.batch],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            ).to(self.device)
            states = self.model(**tokens).last_hidden_state.float()
            mask = tokens["attention_mask"][..., None].float()
            means = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
            vectors.append(F.normalize(means, dim=1).cpu())
        return torch.cat(vectors)


def load(folder: Path, card: Card, device: Any = "cpu") -> LsaSentences | TransformerSentences:
    """An object with ``embed(texts) -> (N, D)``."""
    if card.how == "trained":
        return LsaSentences(Lsa.read(folder))
    from transformers import AutoModel, AutoTokenizer

    return TransformerSentences(
        model_from_folder(AutoModel, folder, card, unused="pooler."),
        from_folder(AutoTokenizer, folder),
        device,
    )


def train(folder: Path, raw_options: dict[str, Any], inputs: ArtefactInputs, seed: int) -> dict[str, Any]:
    """Fit on the training captions."""
    options = SentenceOptions.model_validate(raw_options)
    texts = training_texts(inputs.captions)
    lsa, variance = fit_lsa(texts, options.dim, options.ngrams, seed)
    lsa.save(folder)
    return {
        "texts": len(texts),
        "words": lsa.components.shape[1],
        "dim": lsa.dim,
        "explained_variance": round(variance, 4),
    }
