"""Speech features: the encoder of openai-whisper.

Fetched official weights at full size; at demo size a small encoder of the same
architecture, trained here on the audio of the training clips by predicting the cluster
of masked stretches (as HuBERT does; k-means of the log-mel frames), and saved in
Whisper's own checkpoint format, so that both load by ``whisper.load_model(path)``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn
from torch.nn import functional

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.core.progress import track
from eadbench.core.seeds import rng_for
from eadbench.media.audio import read_audio
from eadbench.zoo.card import Card
from eadbench.zoo.fit import fit
from eadbench.zoo.make import ArtefactInputs
from eadbench.zoo.material import training_clips


class WhisperOptions(BaseModel):
    """Options of an encoder trained here.

    Attributes:
        state, heads, layers: Width, attention heads and blocks of the encoder.
        clips: How many training clips.
        clusters: k of the k-means whose labels are predicted.
        context: Neighbouring 20 ms steps on each side that go into a cluster vector.
        crop: Length of a training stretch in 20 ms steps.
        mask_share, mask_length: Share of the steps masked, and length of one masked
            stretch.
        steps, batch, lr: Length of training, stretches per step, peak learning rate.
    """

    model_config = ConfigDict(extra="forbid")
    state: int = 64
    heads: int = 4
    layers: int = 2
    clips: int = 200
    clusters: int = 64
    context: int = 1
    crop: int = 100
    mask_share: float = 0.4
    mask_length: int = 5
    steps: int = 600
    batch: int = 16
    lr: float = 2e-3


def load(folder: Path, card: Card, device: Any = "cpu"):
    """The ``AudioEncoder``, frozen, in evaluation mode. The card's hash was checked
    before; the file is read with ``weights_only``.

    Raises:
        EadbenchError: If the artefact does not consist of one ``.pt`` file.
    """
    import whisper

    weights = [name for name in card.files if name.endswith(".pt")]
    if len(weights) != 1:
        raise EadbenchError(
            f"expected one .pt file, the card lists {sorted(card.files)}", folder, "make the artefact again"
        )
    model = whisper.load_model(str(folder / weights[0]), device="cpu")
    return model.encoder.to(device).float().eval().requires_grad_(False)


def encoder_states(encoder: nn.Module, mel: torch.Tensor) -> torch.Tensor:
    """All hidden states of the encoder for a stretch of up to 30 s.

    The positional embedding is cut to the stretch, so that short clips need no padding
    to 30 s.

    Args:
        encoder: openai-whisper's ``AudioEncoder``.
        mel: Log-mel ``(B, n_mels, 2 * T50)``, at most 3000 steps.

    Returns:
        ``(B, T50, L, D)`` at 50 Hz: the input embedding and the output of each block (L
        = blocks + 1).
    """
    return torch.stack(_states(encoder, _embed(encoder, mel)), dim=2)


def _embed(encoder: nn.Module, mel: torch.Tensor) -> torch.Tensor:
    x = functional.gelu(encoder.conv1(mel))
    return functional.gelu(encoder.conv2(x)).transpose(1, 2)


def _states(encoder: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    x = x + encoder.positional_embedding[: x.shape[1]].to(x.dtype)
    states = [x]
    for block in encoder.blocks:
        states.append(x := block(x))
    return states


def train(folder: Path, raw_options: dict[str, Any], inputs: ArtefactInputs, seed: int) -> dict[str, Any]:
    """Train a small encoder without labels on the audio of the training clips; writes
    ``encoder.pt``.

    Returns:
        Seconds of speech, parameters of the encoder, and the accuracy on masked steps
        of held-out clips (chance is about 1 / clusters).
    """
    import whisper

    options = WhisperOptions.model_validate(raw_options)
    torch.manual_seed(seed)
    mels = _mels(options, inputs, seed)
    labels = _cluster(mels, options, seed)
    dims = whisper.model.ModelDimensions(
        n_mels=80, n_audio_ctx=1500, n_audio_state=options.state, n_audio_head=options.heads,
        n_audio_layer=options.layers,
        n_vocab=16, n_text_ctx=4, n_text_state=options.state, n_text_head=options.heads, n_text_layer=0,
    )  # fmt: skip
    model = whisper.model.Whisper(dims)
    nn.init.zeros_(model.decoder.positional_embedding)  # never used; the library leaves it uninitialised
    head = nn.Sequential(nn.LayerNorm(options.state), nn.Linear(options.state, options.clusters))
    mask_vector = nn.Parameter(torch.zeros(options.state))
    held_out = max(1, len(mels) // 10)
    losses = _losses(model.encoder, head, mask_vector, mels[held_out:], labels[held_out:], options, seed)
    fit(
        [*model.encoder.parameters(), *head.parameters(), mask_vector],
        losses,
        options.steps,
        options.lr,
        "speech encoder",
    )
    accuracy = _accuracy(model.encoder, head, mask_vector, mels[:held_out], labels[:held_out], options, seed)
    weights = {k: v.half() for k, v in model.state_dict().items()}
    # a file, not its path: torch writes the path's name, here a temporary one, into it
    with atomic_path(folder / "encoder.pt") as part, part.open("wb") as file:
        torch.save({"dims": dict(dims.__dict__), "model_state_dict": weights}, file)
    return {
        "seconds_of_speech": round(sum(mel.shape[1] for mel in mels) / 100, 1),
        "parameters": sum(p.numel() for p in model.encoder.parameters()),
        "masked_accuracy_held_out": round(accuracy, 4),
        "clusters": options.clusters,
    }


def _mels(options: WhisperOptions, inputs: ArtefactInputs, seed: int) -> list[torch.Tensor]:
    """Log-mel ``(80, 2 * T50)`` of each clip that is long enough for a stretch."""
    import whisper

    clips = training_clips(inputs.clips, options.clips, seed)
    order = rng_for(seed, "order").permutation(len(clips))
    mels = []
    for k in track(order, "audio for the encoder", total=len(clips), unit="clips"):
        mel = whisper.log_mel_spectrogram(read_audio(clips[k].audio))
        mels.append(mel[:, : mel.shape[1] // 2 * 2])
    long_enough = [mel for mel in mels if mel.shape[1] >= 2 * options.crop]
    if len(long_enough) < 2:
        raise EadbenchError(
            f"{len(long_enough)} clips are as long as `crop`, at least 2 are needed",
            "zoo.artefacts.*.options.crop",
            "lower `crop`",
        )
    return long_enough


def _cluster(mels: list[torch.Tensor], options: WhisperOptions, seed: int) -> list[torch.Tensor]:
    """k-means label of each 20 ms step, from a few standardised log-mel cepstra of the
    step and its neighbours.
    """
    from scipy.fft import dct
    from sklearn.cluster import MiniBatchKMeans

    vectors = []
    for mel in mels:
        steps = mel.reshape(80, -1, 2).mean(2).T.numpy()
        cepstra = dct(steps, type=2, norm="ortho", axis=1)[:, :16]
        padded = np.pad(cepstra, ((options.context, options.context), (0, 0)), mode="edge")
        neighbours = [padded[k : k + len(steps)] for k in range(2 * options.context + 1)]
        vectors.append(np.concatenate(neighbours, 1))
    all_vectors = np.concatenate(vectors)
    mean, std = all_vectors.mean(0), all_vectors.std(0) + 1e-6
    kmeans = MiniBatchKMeans(options.clusters, random_state=seed % 2**32, n_init=3, batch_size=2048)
    kmeans.fit((all_vectors - mean) / std)
    return [torch.from_numpy(kmeans.predict((v - mean) / std)).long() for v in vectors]


def _batch(
    mels: list[torch.Tensor], labels: list[torch.Tensor], options: WhisperOptions, rng: np.random.Generator
):
    """Stretches ``(B, 80, 2 * crop)``, labels ``(B, crop)``, mask ``(B, crop)``."""
    x, y = [], []
    for index in rng.integers(0, len(mels), options.batch):
        start = rng.integers(0, len(labels[index]) - options.crop + 1)
        x.append(mels[index][:, 2 * start : 2 * (start + options.crop)])
        y.append(labels[index][start : start + options.crop])
    starts = rng.random((options.batch, options.crop)) < options.mask_share / options.mask_length
    mask = starts.copy()
    for shift in range(1, options.mask_length):
        mask[:, shift:] |= starts[:, :-shift]
    return torch.stack(x), torch.stack(y), torch.from_numpy(mask)


def _predict(encoder, head, mask_vector, x, mask):
    embedded = torch.where(mask[..., None], mask_vector, _embed(encoder, x))
    return head(_states(encoder, embedded)[-1])


def _losses(
    encoder, head, mask_vector, mels, labels, options: WhisperOptions, seed: int
) -> Callable[[], dict[str, torch.Tensor]]:
    rng = rng_for(seed, "stretches")

    def losses() -> dict[str, torch.Tensor]:
        x, y, mask = _batch(mels, labels, options, rng)
        logits = _predict(encoder, head, mask_vector, x, mask)
        step_losses = functional.cross_entropy(logits.transpose(1, 2), y, reduction="none")
        # Unmasked steps count a little: they teach the lower layers phonetic classes
        # directly.
        return {"loss": (step_losses * torch.where(mask, 1.0, 0.3)).mean()}

    return losses


@torch.no_grad()
def _accuracy(encoder, head, mask_vector, mels, labels, options: WhisperOptions, seed: int) -> float:
    x, y, mask = _batch(mels, labels, options.model_copy(update={"batch": 64}), rng_for(seed, "held out"))
    correct = _predict(encoder, head, mask_vector, x, mask).argmax(-1) == y
    return float(correct[mask].float().mean())
