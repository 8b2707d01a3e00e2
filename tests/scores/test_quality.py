"""THEval's measures of quality: what the networks see, the package that is not there,
and the road of the weights with a stand-in of the package.
"""

import numpy as np
import pytest
import torch
from score.published import WRITERS, Server
from typer.testing import CliRunner

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table
from eadbench.media.video import write_video
from eadbench.score.cli import app
from eadbench.scores.landmarks import LIPS
from eadbench.scores.metrics.quality import FACE, FACE_POINTS, face_of, mouth_of
from eadbench.zoo import load
from eadbench.zoo.card import Card, write_card
from eadbench.zoo.kinds import image_quality
from eadbench.zoo.kinds.image_quality import NETWORKS, build, refuse_without_package

from .conftest import astronaut

METRICS = "theval_aesthetics,theval_mouth,theval_face"
IDS = dict(zip(NETWORKS, ("musiq-koniq", "topiq-face-res50", "topiq-iaa-swin"), strict=True))
STAND_IN = """
import torch
from torch import nn

def create_swin(name, pretrained=True):
    assert not pretrained, "this would be a download"
    return nn.Linear(3, 1)

class CFANet(nn.Module):
    def __init__(self, semantic_model_name, model_name, pretrained, backbone_pretrain, use_ref, **options):
        super().__init__()
        assert not pretrained and not backbone_pretrain and not use_ref and "gfiqa" not in model_name
        self.head = create_swin("swin", pretrained=True) if "swin" in semantic_model_name else nn.Linear(3, 1)

    def forward(self, x):
        return self.head(x.mean((2, 3)))

class MUSIQ(nn.Module):
    def __init__(self, pretrained):
        super().__init__()
        assert not pretrained
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        return self.head(x.mean((2, 3)))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A package of pyiqa's names whose networks take the mean colour."""
    folder = tmp_path / "packages/pyiqa/archs"
    folder.mkdir(parents=True)
    for name in ("../__init__", "__init__"):
        (folder / f"{name}.py").touch()
    for name in ("musiq_arch", "topiq_arch"):
        (folder / f"{name}.py").write_text(STAND_IN)
    import sys

    for name in [n for n in sys.modules if n.partition(".")[0] == "pyiqa"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    yield
    for name in [n for n in sys.modules if n.partition(".")[0] == "pyiqa"]:
        del sys.modules[name]


def marks_of(size: float = 1.0) -> np.ndarray:
    """Landmarks whose five points are facexlib's template over a size."""
    marks = np.full((478, 2), 250, np.float32)
    for group, place in zip(FACE_POINTS, FACE, strict=True):
        marks[list(group)] = place
    return marks / size


def test_the_mouth_is_cut_out_with_ten_pixels_about_the_lips_within_the_frame():
    marks, frame = np.full((478, 2), 50, np.float32), np.zeros((100, 120, 3), np.uint8)
    marks[list(LIPS)] = (50, 60)
    marks[list(LIPS[:2])] = [(40, 55), (70, 95)]
    assert mouth_of(frame, marks).shape == (55, 50, 3)
    marks[list(LIPS)] = (500, 60)
    with pytest.raises(EadbenchError, match="outside the frame"):
        mouth_of(frame, marks)


def test_the_face_is_brought_to_the_template():
    frame = np.zeros((256, 256, 3), np.uint8)
    x, y = (FACE[2] / 2).round().astype(int)
    frame[y - 4 : y + 5, x - 4 : x + 5] = 255
    rows, columns = np.nonzero(face_of(frame, marks_of(2))[..., 0] > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx(FACE[2], abs=2)


def test_without_the_package_the_extra_is_named_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(image_quality, "PACKAGE", "pyiqa_that_nobody_has")
    write_video(tmp_path / "real/a.mp4", astronaut(10, 64)[0])
    arguments = ["--real", str(tmp_path / "real"), "--fake", str(tmp_path / "real"), "--metrics", METRICS]
    with pytest.raises(EadbenchError, match=r"pip install 'eadbench\[quality\]'"):
        CliRunner().invoke(
            app, [*arguments, "--out", str(tmp_path / "s.parquet"), "--evaluators", "official"],
            catch_exceptions=False,
        )  # fmt: skip
    with pytest.raises(EadbenchError, match="Noncommercial"):
        refuse_without_package()


def test_the_weights_come_by_our_own_road(stand_in, tmp_path, monkeypatch):
    served = tmp_path / "served"
    served.mkdir()
    for write in WRITERS:
        write(served)
    for file, key in zip(NETWORKS, (None, "params", "params"), strict=True):
        state = {"head.weight": torch.full((1, 3), 0.5), "head.bias": torch.ones(1)}
        torch.save({key: state} if key else state, served / file)
    server = Server(served)
    overlay = server.overlay(tmp_path / "registry.yaml", more=IDS)
    monkeypatch.setenv("EADBENCH_REGISTRY", str(overlay))
    monkeypatch.setenv("EADBENCH_CACHE", str(tmp_path / "cache"))
    frames, audio = astronaut(30, 96)
    for side in ("real", "mine"):
        write_video(tmp_path / side / "a.mp4", frames, audio=audio)
    arguments = ["--real", str(tmp_path / "real"), "--fake", str(tmp_path / "mine")]
    out = tmp_path / "s.parquet"
    done = CliRunner().invoke(
        app,
        [*arguments, "--out", str(out), "--metrics", f"{METRICS},theval", "--evaluators", "official",
         "--accept-licence", "all"],
        catch_exceptions=False,
    )  # fmt: skip
    server.close()
    assert done.exit_code == 0 and set(server.seen) == set(NETWORKS), done.output
    rows = read_table(out, schemas.SCORES)
    mine = rows[rows.method == "mine"].set_index("metric")
    for metric in METRICS.split(","):
        assert 1 < mine.loc[metric, "value"] < 2.5 and len(mine.loc[metric, "weights_sha256"]) == 64, metric
        assert mine.loc[metric, "variant"] == "8 frames per clip"
    assert mine.loc["theval", "value"] == 1 and mine.loc["theval", "variant"] == "all without silence"


def test_another_file_is_refused(stand_in, tmp_path):
    card = Card(artefact="q", kind="image_quality", how="fetched", id="q", source="", licence="", files={})
    write_card(tmp_path, card)
    with pytest.raises(EadbenchError, match="no file of musiq"):
        load(tmp_path)


@pytest.mark.parametrize("file", NETWORKS)
def test_the_package_builds_every_network_without_a_download(file, tmp_path, monkeypatch):
    pytest.importorskip("pyiqa")
    import socket

    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a download"))
    torch.manual_seed(0)
    net = build(file)
    state = net.state_dict()
    torch.save(state if file.startswith("musiq") else {"params": state}, tmp_path / file)
    card = Card(artefact="q", kind="image_quality", how="fetched", id="q", source="", licence="",
                files={file: ""})  # fmt: skip
    evaluator = image_quality.load(tmp_path, card)
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    with torch.no_grad():
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        assert evaluator.score(image) == pytest.approx(float(net.eval()(pixels)), rel=1e-5)
