"""Files that are no weights, or broken ones, end in one message that names the file and
says what it is.
"""

import argparse
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from eadbench import zoo
from eadbench.core.errors import EadbenchError
from eadbench.core.files import nature, sha256_of
from eadbench.zoo.card import Card, write_card
from eadbench.zoo.onnx import open_onnx
from eadbench.zoo.weights import load_weights, read_weights

PAGE = b"\xef\xbb\xbf\n <!DOCTYPE html><html><title>Quota exceeded</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n"
READERS = [("w.safetensors", read_weights), ("w.pth", read_weights), ("w.onnx", open_onnx)]


@pytest.mark.parametrize(
    ("content", "words"), [(PAGE, "a web page"), (POINTER, "git-lfs pointer"), (b"", "empty")]
)
@pytest.mark.parametrize(("name", "read"), READERS)
def test_what_stands_in_the_place_of_weights_is_named(
    tmp_path: Path, content: bytes, words: str, name: str, read: Any
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EadbenchError) as caught:
        read(tmp_path / name)
    assert words in caught.value.what and caught.value.where == str(tmp_path / name)


@pytest.mark.parametrize(("name", "read"), READERS)
def test_a_folder_and_a_missing_file_are_named(tmp_path: Path, name: str, read: Any) -> None:
    with pytest.raises(EadbenchError, match="missing"):
        read(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(EadbenchError, match="cannot be read: Is a directory"):
        read(tmp_path / name)


def test_real_weights_are_nothing_else(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "w.safetensors")
    torch.save({"a": torch.zeros(2)}, tmp_path / "w.pth")
    torch.save({"a": torch.zeros(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert all(nature(path) == "" for path in tmp_path.iterdir())
    assert all(torch.equal(read_weights(path)["a"], torch.zeros(2)) for path in tmp_path.iterdir())


def as_numpy_1_writes_it(path: Path) -> None:
    """Rewrite a checkpoint of numpy 2 so that its pickle names the modules of numpy 1."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(
                name,
                data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
                if name.endswith("data.pkl")
                else data,
            )
    assert b"numpy.core.multiarray" in path.read_bytes()


@pytest.mark.parametrize("spelling", ["numpy._core", "numpy.core"])
def test_what_training_scripts_leave_beside_the_tensors_is_read(tmp_path: Path, spelling: str) -> None:
    extras = {
        "prec1": np.float64(71.5),
        "best": np.float32(0.25),
        "epoch": np.int64(3),
        "done": np.bool_(True),
        "curve": np.arange(3.0),
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
    }
    torch.save({"state_dict": {"a": torch.ones(2)}} | extras, tmp_path / "w.pth")
    if spelling == "numpy.core":
        as_numpy_1_writes_it(tmp_path / "w.pth")
    checkpoint = read_weights(tmp_path / "w.pth")
    assert torch.equal(checkpoint["state_dict"]["a"], torch.ones(2))
    assert (checkpoint["prec1"], checkpoint["best"], checkpoint["epoch"], checkpoint["done"]) == (
        71.5,
        0.25,
        3,
        True,
    )
    assert checkpoint["curve"].tolist() == [0, 1, 2] and checkpoint["args"] == extras["args"]


class Harm:
    """Makes a file when it is unpickled by pickle itself."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda harm: {"a": harm},
        lambda harm: {"args": argparse.Namespace(x=harm)},
        lambda harm: np.array([harm]),
    ],
)
def test_code_is_not_run_wherever_it_hides(tmp_path: Path, wrap: Any) -> None:
    torch.save(wrap(Harm(tmp_path / "harmed")), tmp_path / "w.pth")
    with pytest.raises(EadbenchError, match=r"refused: .*(io|_io|builtins)\.open, which could run code"):
        read_weights(tmp_path / "w.pth")
    assert not (tmp_path / "harmed").exists()
    torch.load(tmp_path / "w.pth", weights_only=False)
    assert (tmp_path / "harmed").exists(), "the trap works"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused_with_the_tensors_name(
    tmp_path: Path, dtype: torch.dtype, value: float
) -> None:
    state = {"a": torch.zeros(3, dtype=dtype), "b": torch.tensor([1, value], dtype=dtype)}
    save_file(state, tmp_path / "w.safetensors")
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    with pytest.raises(EadbenchError, match="1 of 2 numbers of tensor 'b' are not finite"):
        read_weights(tmp_path / "w.safetensors")
    with pytest.raises(EadbenchError, match=r"tensor 'state_dict\.b'"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ([torch.zeros(2)], "holds a list"),
        (torch.zeros(2), "holds a Tensor"),
        ({"weight": torch.zeros(2, 3)}, "do not fit the network.*bias"),
        ({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, "do not fit the network.*size mismatch"),
        (
            {"weight": torch.zeros(2, 3, dtype=torch.int64), "bias": torch.zeros(2)},
            r"weight holds torch\.int64, expected torch\.float32",
        ),
        ({"weight": "text", "bias": torch.zeros(2)}, "do not fit the network"),
    ],
)
def test_weights_of_another_shape_or_type_are_refused(tmp_path: Path, state: Any, words: str) -> None:
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(EadbenchError, match=words):
        load_weights(nn.Linear(3, 2), tmp_path / "w.pth")


def test_weights_in_half_precision_and_counters_fit(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()},
        tmp_path / "w.safetensors",
    )
    load_weights(net, tmp_path / "w.safetensors")


def broken(folder: Path, target: Path, harm: Any) -> Path:
    """A copy of an artefact with a harmed file and a card that fits it, as a user's own
    folder is.
    """
    shutil.copytree(folder, target)
    card = zoo.card.read_card(folder)
    harm(target)
    files = {name: sha256_of(target / name) for name in card.files}
    (target / "card.json").unlink()
    write_card(target, Card(**card.model_dump() | {"files": files}))
    return target


def without_a_tensor(path: Path) -> None:
    state = load_file(path)
    del state[sorted(state)[0]]
    save_file(state, path, metadata={"format": "pt"})


def not_finite(path: Path) -> None:
    state = load_file(path)
    state[sorted(state)[0]].view(-1)[0] = np.nan
    save_file(state, path, metadata={"format": "pt"})


def half(path: Path) -> None:
    path.write_text(path.read_text()[: path.stat().st_size // 2])


HARMS = {
    ("vae", "diffusion_pytorch_model.safetensors", without_a_tensor): "lack 1 tensors of AutoencoderKL",
    ("vae", "diffusion_pytorch_model.safetensors", not_finite): "are not finite",
    ("vae", "config.json", half): "AutoencoderKL cannot read the folder",
    ("vae", "config.json", lambda path: path.write_text("[]")): "cannot be loaded|cannot read the folder",
    ("vae", "config.json", lambda path: path.write_bytes(PAGE)): "is a web page",
    ("videomae", "model.safetensors", without_a_tensor): "lack 1 tensors of VideoMAEModel",
    ("videomae", "model.safetensors", not_finite): "are not finite",
    ("videomae", "config.json", half): "VideoMAEModel cannot read the folder",
    (
        "whisper",
        "encoder.pt",
        lambda path: torch.save([1, 2], path),
    ): "artefact 'whisper' .* cannot be loaded",
    (
        "whisper",
        "encoder.pt",
        lambda path: path.write_bytes(path.read_bytes()[:2000]),
    ): "artefact 'whisper' .* cannot be loaded",
    ("lpips", "model.safetensors", not_finite): "are not finite",
    ("lpips", "model.safetensors", without_a_tensor): "do not fit the network",
}


@pytest.mark.parametrize(
    ("kind", "file", "harm"), HARMS, ids=[f"{kind}-{k}" for k, (kind, *_) in enumerate(HARMS)]
)
def test_a_broken_artefact_ends_in_one_message(
    tiny_parts: dict[str, Path], tmp_path: Path, kind: str, file: str, harm: Any
) -> None:
    folder = broken(tiny_parts[kind], tmp_path / kind, lambda target: harm(target / file))
    with pytest.raises(EadbenchError, match=HARMS[kind, file, harm]) as caught:
        zoo.load(folder)
    assert str(folder) in caught.value.where and len(caught.value.what) < 600


def test_whole_artefacts_load(tiny_parts: dict[str, Path], tmp_path: Path) -> None:
    for kind, folder in tiny_parts.items():
        zoo.load(broken(folder, tmp_path / kind, lambda target: None))
