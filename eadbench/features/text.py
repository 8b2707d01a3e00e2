"""Encode captions and label descriptions, each distinct text once."""

import hashlib
import logging
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from eadbench.captions.wording import GRADES, label_texts
from eadbench.core import provenance, schemas, seals
from eadbench.core.emotions import EMOTIONS
from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path
from eadbench.core.progress import track
from eadbench.core.tables import read_rows, write_table

log = logging.getLogger(__name__)
TEXTS_PER_FILE = 20000
BATCH = 256


def text_id_of(text: str) -> str:
    """Key of a text: 16 hex digits of its hash."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def texts_to_encode(captions: Iterable[str]) -> list[str]:
    """Every distinct text a run may ask for, sorted: the captions, all label
    descriptions, and the empty text for training without condition.
    """
    labels = {
        text for emotion in EMOTIONS for intensity in GRADES for text in label_texts(emotion, intensity)
    }
    return sorted({"", *labels, *captions})


def encode_texts(
    corpus: str, captions_path: Path, encoder_folder: Path, device: str, out: Path
) -> pd.DataFrame:
    """Write ``text.parquet`` (`schemas.TEXTS`) and beside it ``text.safetensors``
    (further files ``text-001.safetensors`` ... for very many texts).

    Raises:
        EadbenchError: If a table or the encoder cannot be read.
    """
    from eadbench.core.device import pick_device
    from eadbench.zoo import load
    from eadbench.zoo.card import read_card

    started = time.time()
    captions = (row.caption for row in read_rows(captions_path, schemas.CAPTIONS) if row.corpus == corpus)
    described = [caption for caption in captions if caption is not None]
    texts = texts_to_encode(described)
    encoder = load(encoder_folder, pick_device(device))
    rows = []
    for number, start in enumerate(range(0, len(texts), TEXTS_PER_FILE)):
        file = f"text-{number:03d}.safetensors" if number else "text.safetensors"
        part = texts[start : start + TEXTS_PER_FILE]
        states = _encode(encoder, part)
        rows += [
            {"text_id": text_id_of(t), "text": t, "tokens": len(states[text_id_of(t)]), "file": file}
            for t in part
        ]
        with atomic_path(out.parent / file) as path:
            save_file(states, path)
    log.info("%s: %d captions, %d distinct texts encoded", corpus, len(described), len(texts))
    seals.seal_files(out.parent, [out.parent / name for name in {row["file"] for row in rows}], out)
    write_table(out, rows, schemas.TEXTS, "text_id")
    card = read_card(encoder_folder)
    provenance.write(
        out.parent / "text.provenance",
        None,
        {"captions": str(captions_path), "text_encoder": card.sha256},
        started,
        encoder=card.id,
    )
    return pd.DataFrame(rows)


def _encode(encoder, texts: list[str]) -> dict[str, torch.Tensor]:
    encoded = {}
    for start in track(range(0, len(texts), BATCH), "encode text", unit="batch"):
        part = texts[start : start + BATCH]
        tokens, mask = encoder.encode(part)
        for text, row, length in zip(part, tokens, mask.sum(1).tolist(), strict=True):
            encoded[text_id_of(text)] = row[:length].half().contiguous()
    return encoded


class TextStore:
    """Read access to encoded texts: ``store[text_id]`` gives ``(L, D)`` float16.

    Args:
        table_path: ``text.parquet``.
    """

    def __init__(self, table_path: Path) -> None:
        self.path = Path(table_path)
        self._file_of = {row.text_id: row.file for row in read_rows(table_path, schemas.TEXTS)}
        self._open: dict[Path, safe_open] = {}

    def __contains__(self, text_id: str) -> bool:
        return text_id in self._file_of

    def __getitem__(self, text_id: str) -> torch.Tensor:
        if text_id not in self._file_of:
            raise EadbenchError(
                f"text {text_id!r} was not encoded",
                self.path,
                "delete the file and run `features text` again",
            )
        file = self._file_of[text_id]
        try:
            if file not in self._open:
                self._open[file] = safe_open(seals.checked(file), "pt")
            return self._open[file].get_tensor(text_id)
        except (FileNotFoundError, SafetensorError, OSError) as error:
            raise EadbenchError(
                f"text {text_id!r} cannot be read: {error}",
                file,
                "run `features text` again",
            ) from error

    def of_text(self, text: str) -> torch.Tensor:
        """The encoding of a text that was among those encoded."""
        return self[text_id_of(text)]

    @cached_property
    def dim(self) -> int:
        """Width of the token vectors."""
        return self.of_text("").shape[1]
