"""A disk that fills up while a file is written, at its first page and at its last: a
clear error, and nothing under the final name.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from material import hum
from safetensors.torch import save_file
from small_disk import PAGE, small_disk

from eadbench.core.errors import FatalError
from eadbench.core.files import atomic_path, write_text
from eadbench.media.audio import write_m4a, write_wav
from eadbench.media.video import replace_audio, write_video

NOISE = np.random.default_rng(0).random(60_000)
FRAMES = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), np.uint8)


def save_arrays(path: Path) -> None:
    with atomic_path(path) as part, part.open("wb") as handle:
        np.savez(handle, a=NOISE)


def save_table(path: Path) -> None:
    with atomic_path(path) as part:
        pq.write_table(pa.table({"a": NOISE}), part)


def save_tensors(path: Path) -> None:
    with atomic_path(path) as part:
        save_file({"a": torch.from_numpy(NOISE)}, part)


def save_state(path: Path) -> None:
    with atomic_path(path) as part:
        torch.save({"a": torch.from_numpy(NOISE)}, part)


def save_copy(path: Path) -> None:
    """With other audio, of a video that lies on a disk with room."""
    replace_audio(path.parent.parent / "source.mp4", path, hum(2.0))


WRITERS = {
    "v.mp4": lambda path: write_video(path, FRAMES, audio=hum(0.5)),
    "copy.mp4": save_copy,
    "s.wav": lambda path: write_wav(path, hum(3.0)),
    "s.m4a": lambda path: write_m4a(path, hum(3.0), 16000),
    "t.txt": lambda path: write_text(path, "words " * 10_000),
    "a.npz": save_arrays,
    "t.parquet": save_table,
    "w.safetensors": save_tensors,
    "w.pt": save_state,
}


@pytest.mark.parametrize("name", WRITERS)
def test_whole_or_not_at_all(tmp_path, name):
    write_video(tmp_path / "source.mp4", FRAMES)
    WRITERS[name](tmp_path / "roomy" / name)
    whole = (tmp_path / "roomy" / name).read_bytes()
    pages = -(-len(whole) // PAGE)
    for k, room in enumerate((1, pages // 2, pages - 1)):
        with small_disk(tmp_path / f"tight{k}", max(room, 1)) as disk:
            with pytest.raises(FatalError, match="disk is full"):
                WRITERS[name](disk / name)
            assert list(disk.iterdir()) == []
    with small_disk(tmp_path / "enough", pages) as disk:
        WRITERS[name](disk / name)
        assert (disk / name).read_bytes() == whole
