"""Kind ``text_encoder``: one vector per token of a text, EAD-Net's text condition.

Fetched: T5's encoder and tokenizer. Trained on the training captions: ``model: lsa``,
in which a token's vector is its word's direction in a latent semantic analysis; or
``model: t5``, a small T5 encoder with its own Unigram tokenizer, trained to restore
masked tokens and to give texts the cosines that the latent semantic analysis gives them
(restoring tokens alone does not make texts comparable in so few steps).
"""

import logging
import math
import string
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn
from torch.nn import functional as F

from eadbench.zoo.card import Card
from eadbench.zoo.fit import fit
from eadbench.zoo.hub import from_folder, model_from_folder
from eadbench.zoo.lsa import Lsa, fit_lsa
from eadbench.zoo.make import ArtefactInputs
from eadbench.zoo.text_data import training_texts

log = logging.getLogger(__name__)
PAD, EOS, UNKNOWN, MASK = "<pad>", "</s>", "<unk>", "<mask>"


class TextEncoderOptions(BaseModel):
    """Options of a trained one.

    Attributes:
        model: ``t5`` or ``lsa``.
        dim: Width of the token vectors.
        layers: Layers of the T5 encoder.
        heads: Its attention heads.
        vocabulary: Words that its tokenizer knows whole.
        steps: Training steps.
        batch: Captions per step.
        lr: Learning rate.
        masked: Share of tokens hidden.
        restore: Weight of the loss of restoring hidden tokens, beside that of the
            cosines.
        max_texts: Captions to train on at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: Literal["t5", "lsa"] = "lsa"
    dim: int = 64
    layers: int = 2
    heads: int = 4
    vocabulary: int = 600
    steps: int = 120
    batch: int = 32
    lr: float = 3e-3
    masked: float = 0.3
    restore: float = 0.1
    max_texts: int | None = None


class T5TextEncoder:
    """T5's encoder."""

    def __init__(
        self, model: Any, tokenizer: Any, device: Any, max_tokens: int = 256, batch: int = 64
    ) -> None:
        self.model, self.tokenizer, self.device, self.max_tokens, self.batch = (
            model.eval().to(device),
            tokenizer,
            device,
            max_tokens,
            batch,
        )

    @property
    def dim(self) -> int:
        """Width of the token vectors."""
        return self.model.config.d_model

    @torch.inference_mode()
    def encode(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token vectors ``(N, L, D)`` float32 (zero where masked) and mask ``(N, L)``
        bool (true for tokens), on the CPU; longer texts are cut at ``max_tokens``. The
        empty text is the end sign alone.
        """
        if not texts:
            return torch.zeros(0, 0, self.dim), torch.zeros(0, 0, dtype=torch.bool)
        # batches of similar length need little padding
        order = sorted(range(len(texts)), key=lambda k: len(texts[k]))
        rows: list[torch.Tensor | None] = [None] * len(texts)
        for start in range(0, len(order), self.batch):
            indices = order[start : start + self.batch]
            tokens = self.tokenizer(
                [texts[k] for k in indices],
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
            )
            mask = tokens["attention_mask"].to(self.device)
            output = self.model(input_ids=tokens["input_ids"].to(self.device), attention_mask=mask)
            states = output.last_hidden_state.float().cpu()
            for k, text_states, length in zip(indices, states, mask.sum(1).tolist(), strict=True):
                rows[k] = text_states[:length]
        return _padded(rows)

    def embed(self, texts: list[str]) -> torch.Tensor:
        """``(N, D)``: the mean over the tokens, L2-normalised."""
        return mean_embedding(*self.encode(texts))


class LsaTextEncoder:
    """A token is a word; its vector is the word's weighted direction. The first token
    is the whole text.
    """

    def __init__(self, lsa: Lsa, max_tokens: int = 256) -> None:
        self.lsa, self.max_tokens = lsa, max_tokens
        self.analyse = lsa.vectorizer.build_analyzer()
        words = lsa.components * np.asarray(lsa.vectorizer.idf_, np.float32)
        self.words = (words / np.maximum(np.linalg.norm(words, axis=0), 1e-12)).T.astype(np.float32)

    @property
    def dim(self) -> int:
        """Width of the token vectors."""
        return self.lsa.dim

    def encode(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`T5TextEncoder.encode`."""
        if not texts:
            return torch.zeros(0, 0, self.dim), torch.zeros(0, 0, dtype=torch.bool)
        vocabulary = self.lsa.vectorizer.vocabulary
        rows = []
        for text, text_vector in zip(texts, self.lsa.embed(texts), strict=True):
            words = [word for word in self.analyse(text) if word in vocabulary]
            word_vectors = [self.words[vocabulary[word]] for word in words]
            rows.append(torch.from_numpy(np.stack([text_vector, *word_vectors[: self.max_tokens - 1]])))
        return _padded(rows)

    def embed(self, texts: list[str]) -> torch.Tensor:
        """``(N, D)``: the text's own direction, L2-normalised."""
        return torch.from_numpy(self.lsa.embed(texts))


def _padded(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True), mask


def mean_embedding(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of the unmasked tokens, L2-normalised: ``(N, L, D)``, ``(N, L)`` to
    ``(N, D)``.
    """
    weights = mask[..., None].float()
    return F.normalize((tokens * weights).sum(1) / weights.sum(1).clamp(min=1), dim=1)


def load(folder: Path, card: Card, device: Any = "cpu") -> T5TextEncoder | LsaTextEncoder:
    """An object with ``encode(texts) -> (tokens, mask)``, ``embed(texts)`` and ``dim``."""
    if card.how == "trained" and TextEncoderOptions.model_validate(card.options).model == "lsa":
        return LsaTextEncoder(Lsa.read(folder))
    from transformers import AutoTokenizer, T5EncoderModel

    return T5TextEncoder(
        model_from_folder(T5EncoderModel, folder, card), from_folder(AutoTokenizer, folder), device
    )


def train(folder: Path, raw_options: dict[str, Any], inputs: ArtefactInputs, seed: int) -> dict[str, Any]:
    """Fit on the training captions."""
    options = TextEncoderOptions.model_validate(raw_options)
    texts = training_texts(inputs.captions, options.max_texts)
    if options.model == "lsa":
        lsa, variance = fit_lsa(texts, options.dim, 1, seed)
        lsa.save(folder)
        return {
            "texts": len(texts),
            "words": lsa.components.shape[1],
            "dim": lsa.dim,
            "explained_variance": round(variance, 4),
        }
    return _train_t5(folder, options, texts, seed)


def make_tokenizer(texts: list[str], size: int) -> Any:
    """A Unigram tokenizer like T5's: the ``size`` most frequent words of the texts, and
    single characters for all others.

    Its pieces are counted here, since the trainer of the package ``tokenizers`` gives
    different ones each time.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normaliser = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    counts = Counter(
        piece for text in texts for piece, _ in splitter.pre_tokenize_str(normaliser.normalize_str(text))
    )
    total = sum(counts.values())
    words = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:size]
    scores = {word: math.log(count / total) for word, count in words}
    rarest = min(scores.values())
    characters = {c for word in counts for c in word} | set(string.ascii_lowercase + string.digits)
    for character in sorted(characters):
        scores.setdefault(character, rarest - 10)  # a known word must score above its characters
    special_tokens = [(token, 0.0) for token in (PAD, EOS, UNKNOWN, MASK)]
    tokenizer = Tokenizer(models.Unigram([*special_tokens, *scores.items()], unk_id=2))
    tokenizer.normalizer = normaliser
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {EOS}", special_tokens=[(EOS, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        mask_token=MASK,
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )


def _train_t5(folder: Path, options: TextEncoderOptions, texts: list[str], seed: int) -> dict[str, Any]:
    """Masked-token training (as BERT's; the output layer is the embedding table, as in
    T5), and cosines after latent semantic analysis.
    """
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(seed % 2**63)
    generator = torch.Generator().manual_seed(seed % 2**63)
    tokenizer = make_tokenizer(texts, options.vocabulary)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=options.dim,
        d_kv=max(options.dim // options.heads, 8),
        d_ff=2 * options.dim,
        num_layers=options.layers,
        num_heads=options.heads,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = T5EncoderModel(config)
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    targets = torch.from_numpy(fit_lsa(texts, 64, 2, seed)[0].embed(texts))

    def losses() -> dict[str, torch.Tensor]:
        drawn = torch.randint(len(texts), (options.batch,), generator=generator)
        x, valid = ids[drawn], mask[drawn]
        words = (valid > 0) & (x != tokenizer.eos_token_id)
        masked = (torch.rand(x.shape, generator=generator) < options.masked) & words
        masked_ids = x.masked_fill(masked, tokenizer.mask_token_id)
        states = model(input_ids=masked_ids, attention_mask=valid).last_hidden_state
        logits = states[masked] @ model.shared.weight.T * options.dim**-0.5
        restoring = F.cross_entropy(logits, x[masked]) if masked.any() else states.sum() * 0
        pooled = mean_embedding(states, (valid > 0) & ~masked)
        cosines = F.mse_loss(pooled @ pooled.T, targets[drawn] @ targets[drawn].T)
        restored = (logits.argmax(1) == x[masked]).float().mean() if masked.any() else torch.zeros(())
        return {
            "loss": cosines + options.restore * restoring,
            "cosine_loss": cosines,
            "restore_loss": restoring,
            "restored": restored,
        }

    values = fit(model.parameters(), losses, options.steps, options.lr, "text encoder", warm_up=0.3)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    facts = {name: round(values[name], 4) for name in ("cosine_loss", "restore_loss", "restored")}
    log.info("text encoder: %s", facts)
    return {"texts": len(texts), "tokens": len(tokenizer), **facts}
