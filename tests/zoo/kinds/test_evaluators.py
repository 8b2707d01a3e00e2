"""Loaders of the evaluators against the packages and published code they stand for."""

import pickle
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from eadbench import zoo
from eadbench.core.errors import EadbenchError
from eadbench.core.files import sha256_of
from eadbench.models.emotion_fan import MEAD_CLASSES, BasicBlock, EmotionFAN
from eadbench.models.random_features import RandomFeatures
from eadbench.models.syncnet_evaluator import SyncNetV2
from eadbench.zoo.card import Card, write_card
from eadbench.zoo.chips import arcface_chips, box_chips, dlib_chips, similarity
from eadbench.zoo.config import ZooConfig
from eadbench.zoo.kinds import face_id, i3d, inception, lpips
from eadbench.zoo.kinds.emotion import logits, with_face
from eadbench.zoo.make import ArtefactInputs, make
from eadbench.zoo.weights import read_weights


def fetched(folder: Path, kind: str, name: str, content) -> Path:
    """A folder as `zoo make` leaves it after a download of that file."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(content, folder / name)
    return carded(folder, kind, name)


def carded(folder: Path, kind: str, name: str) -> Path:
    files = {name: sha256_of(folder / name)}
    write_card(
        folder,
        Card(artefact=kind, kind=kind, how="fetched", id=kind, source="test", licence="none", files=files),
    )
    return folder


def frames_of(count: int, size: int = 64, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return np.stack([cv2.resize(f, (size, size), interpolation=cv2.INTER_CUBIC) for f in small])


class Loud:
    def __reduce__(self):
        return (Path.touch, (Path("/nonexistent/loud"),))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("syncnet_evaluator", "syncnet_v2.model"),
        ("emotion", "fan"),
        ("lpips", lpips.OFFICIAL),
        ("inception", inception.OFFICIAL),
    ],
)
def test_pickles_with_code_are_refused(tmp_path, kind, name):
    (tmp_path / name).write_bytes(pickle.dumps({"a": Loud()}))
    with pytest.raises(EadbenchError, match="refused"):
        zoo.load(carded(tmp_path, kind, name))


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04broken"])
def test_damaged_files_are_refused(tmp_path, content):
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EadbenchError):
            read_weights(tmp_path / name)
    with pytest.raises(EadbenchError, match="missing"):
        read_weights(tmp_path / "absent.pth")


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(EadbenchError, match="do not fit"):
        zoo.load(fetched(tmp_path, "syncnet_evaluator", "syncnet_v2.model", {"a": torch.zeros(2)}))


def test_full_size_syncnet_loads_and_scores(tmp_path):
    torch.manual_seed(0)
    evaluator = zoo.load(fetched(tmp_path, "syncnet_evaluator", "syncnet_v2.model", SyncNetV2().state_dict()))
    values = evaluator.score(
        frames_of(8), np.random.default_rng(0).normal(0, 0.1, 8 * 640).astype(np.float32)
    )
    assert evaluator.crop == "aligned-224" and np.isfinite(list(values.values())).all()


# --- FID ---


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory) -> Path:
    """Random weights in pytorch-fid's file format."""
    from unittest import mock

    from pytorch_fid import inception as package

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("inception")
    with (
        mock.patch.object(torch.nn.Module, "load_state_dict", lambda *_, **__: None),
        mock.patch.object(package, "load_state_dict_from_url"),
    ):
        network = package.fid_inception_v3()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return fetched(folder, "inception", inception.OFFICIAL, network.state_dict())


def test_fid_equals_pytorch_fid_on_the_same_images(inception_weights, tmp_path, monkeypatch):
    """Features of the package from PNG files; the distance in 64 random directions of
    them, since its matrix root takes half a minute in all 2048.
    """
    from pytorch_fid import inception as package
    from pytorch_fid.fid_score import calculate_frechet_distance, get_activations

    from eadbench.scores.frechet import frechet_distance

    state = torch.load(inception_weights / inception.OFFICIAL, weights_only=True)
    monkeypatch.setattr(package, "load_state_dict_from_url", lambda *_, **__: state)
    theirs_net, extractor = package.InceptionV3([3]), zoo.load(inception_weights)
    ours, theirs = [], []
    for name, seed in (("a", 0), ("b", 1)):
        frames = frames_of(10, 96, seed)
        (tmp_path / name).mkdir()
        for k, frame in enumerate(frames):
            cv2.imwrite(str(tmp_path / name / f"{k:03d}.png"), frame[..., ::-1])
        theirs.append(
            get_activations(sorted((tmp_path / name).iterdir()), theirs_net.eval(), 5, 2048, "cpu", 0).astype(
                np.float64
            )
        )
        ours.append(extractor.features(frames))
        assert ours[-1] == pytest.approx(theirs[-1], rel=1e-3, abs=1e-3 * np.abs(theirs[-1]).mean())
    assert (extractor.dims, extractor.resolution) == (2048, 299)
    directions = np.random.default_rng(0).standard_normal((2048, 64))
    (x, y), (p, q) = ([features @ directions for features in both] for both in (ours, theirs))
    expected = calculate_frechet_distance(
        p.mean(0), np.cov(p, rowvar=False), q.mean(0), np.cov(q, rowvar=False)
    )
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-3)


def test_random_features_depend_on_the_seed_alone(tmp_path):
    frames = frames_of(3)
    features = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        inception.random(tmp_path / name, {"channels": [4, 8], "size": 32}, seed)
        network = RandomFeatures(2, (4, 8))
        network.load_state_dict(read_weights(tmp_path / name / "model.safetensors"))
        features.append(inception.InceptionFeatures(network, network.dim, 32, "cpu").features(frames))
    assert np.array_equal(features[0], features[1]) and not np.allclose(features[0], features[2])
    assert features[0].shape == (3, 12) and inception.InceptionFeatures(network, 12, 32, "cpu").features(
        frames[:0]
    ).shape == (0, 12)


# --- FVD ---


class StandIn(torch.nn.Module):
    """Has the call of the I3D torchscript file; gives 400 numbers that show what it was
    fed.
    """

    def forward(
        self, x: torch.Tensor, rescale: bool = True, resize: bool = True, return_features: bool = True
    ) -> torch.Tensor:
        if rescale:
            x = x / 127.5 - 1
        if resize:
            n, t = x.shape[0], x.shape[2]
            x = (
                F.interpolate(
                    x.transpose(1, 2).flatten(0, 1), size=[224, 224], mode="bilinear", align_corners=False
                )
                .unflatten(0, [n, t])
                .transpose(1, 2)
            )
        return torch.nn.functional.adaptive_avg_pool3d(x, [1, 10, 10]).flatten(1).repeat(1, 2)[:, :400]


@pytest.fixture(scope="module")
def i3d_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("i3d")
    torch.jit.script(StandIn()).save(str(folder / i3d.OFFICIAL))
    return carded(folder, "i3d", i3d.OFFICIAL)


def test_i3d_is_called_as_each_protocol_says_and_torch_does_not_warn(i3d_file):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extractor = zoo.load(i3d_file)
    windows = np.full((2, 16, 32, 32, 3), 255, np.uint8)
    windows[1] = 0
    assert extractor.features(windows, "stylegan-v")[:, :300] == pytest.approx(
        np.repeat([[1.0], [-1.0]], 300, 1), abs=1e-5
    )
    assert extractor.features(windows, "latentsync")[:, :300] == pytest.approx(
        np.repeat([[1.0], [0.0]], 300, 1), abs=1e-5
    )


def test_i3d_that_is_no_torchscript_is_refused(tmp_path):
    (tmp_path / i3d.OFFICIAL).write_bytes(pickle.dumps(Loud()))
    with pytest.raises(EadbenchError, match="not a torchscript file"):
        zoo.load(carded(tmp_path, "i3d", i3d.OFFICIAL))


# --- LPIPS ---


def test_lpips_equals_the_package(tmp_path):
    import lpips as package
    from torchvision.models import alexnet

    torch.manual_seed(0)
    trunk = alexnet(weights=None)
    metric = zoo.load(fetched(tmp_path, "lpips", lpips.OFFICIAL, trunk.state_dict()))
    reference = package.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    for name, parameter in reference.net.named_parameters():
        parameter.data = trunk.state_dict()[".".join(("features", *name.split(".")[-2:]))]
    x, y = (torch.rand(3, 3, 64, 64) * 2 - 1 for _ in range(2))
    assert metric(x, y).shape == (3,) and torch.allclose(
        metric(x, y), reference(x, y).flatten(), rtol=1e-5, atol=1e-7
    )
    assert metric(x, x).abs().max() == 0
    x_ours, x_reference = x.clone().requires_grad_(), x.clone().requires_grad_()
    metric(x_ours, y).sum().backward()
    reference(x_reference, y).sum().backward()
    assert x_reference.grad.abs().max() > 0 and torch.allclose(
        x_ours.grad, x_reference.grad, rtol=1e-4, atol=1e-6
    )


def test_random_lpips_is_what_the_package_draws_from_the_same_seed(tmp_path):
    """Artefacts made with the package keep their names and values."""
    import lpips as package

    lpips.random(tmp_path, {}, 7)
    torch.manual_seed(7)
    theirs = package.LPIPS(net="alex", pnet_rand=True, verbose=False).net.state_dict()
    ours = load_file(tmp_path / "model.safetensors")
    assert ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], value) for name, value in theirs.items()
    )


def test_lpips_with_another_network_is_refused(tmp_path):
    with pytest.raises(EadbenchError, match="not torchvision's AlexNet"):
        zoo.load(fetched(tmp_path, "lpips", lpips.OFFICIAL, {"conv.weight": torch.zeros(1)}))


# --- emotion ---


def test_basic_block_equals_torchvisions():
    from torchvision.models import resnet

    for stride, after in ((1, 8), (2, 16)):
        blocks = []
        for kind in (BasicBlock, resnet.BasicBlock):
            torch.manual_seed(1)
            down = (
                torch.nn.Sequential(
                    torch.nn.Conv2d(8, after, 1, stride, bias=False), torch.nn.BatchNorm2d(after)
                )
                if stride > 1
                else None
            )
            blocks.append(kind(8, after, stride, down))
        ours, theirs = blocks
        assert list(ours.state_dict()) == list(theirs.state_dict())
        assert all(
            torch.equal(a, b)
            for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
        )
        x = torch.randn(2, 8, 9, 9)
        assert torch.equal(ours(x), theirs(x)) and torch.equal(ours.eval()(x), theirs.eval()(x))


def test_fan_evaluates_as_the_released_code(tmp_path):
    torch.manual_seed(0)
    net = EmotionFAN(8, released_evaluation=True).eval()
    features = torch.rand(1, 7, 512)
    classified = net.classify(features)[0]
    f = features[0]
    alpha = net.alpha(f)
    mean = (alpha * f).sum(0) / alpha.sum()
    both = torch.cat([f, mean.expand(7, -1)], 1)
    beta = net.beta(both)
    expected = net.pred_fc2((alpha * both).sum(0) / (alpha * beta).sum())
    assert torch.allclose(classified, expected, atol=1e-5)
    consistent = EmotionFAN(8).eval()
    consistent.load_state_dict(net.state_dict())
    assert torch.allclose(
        consistent.classify(features)[0],
        net.pred_fc2((alpha * beta * both).sum(0) / (alpha * beta).sum()),
        atol=1e-5,
    )


def test_fan_checkpoint_of_the_released_training_loads(tmp_path):
    torch.manual_seed(0)
    state = {f"module.{name}": value for name, value in EmotionFAN(8).state_dict().items()}
    checkpoint = {"epoch": 61, "state_dict": state, "accuracy": torch.tensor(84.3655), "name": "mead"}
    evaluator = zoo.load(fetched(tmp_path, "emotion", "self_relation-attention_61_84.3655", checkpoint))
    assert evaluator.classes == MEAD_CLASSES and evaluator.chips and evaluator.resolution == 224
    marks = np.random.default_rng(0).uniform(20, 44, (3, 478, 2))
    assert logits(evaluator, frames_of(3), marks).shape == (8,)


def test_fan_with_seven_classes_or_none_is_refused(tmp_path):
    with pytest.raises(EadbenchError, match="7 classes"):
        zoo.load(fetched(tmp_path / "seven", "emotion", "fan", {"state_dict": EmotionFAN(7).state_dict()}))
    with pytest.raises(EadbenchError, match="not a checkpoint of Emotion-FAN"):
        zoo.load(fetched(tmp_path / "none", "emotion", "fan", {"state_dict": {}}))


def test_fan_trunk_is_torchvisions_resnet18():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    ours, theirs = EmotionFAN(8).eval(), resnet18(weights=None).eval()
    ours.load_state_dict(
        {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}, strict=False
    )
    theirs.fc = torch.nn.Identity()
    x = torch.rand(2, 3, 64, 64)
    assert torch.allclose(ours.features(x), theirs(x), atol=1e-5)


def test_frames_without_a_face_are_passed_over():
    marks = np.zeros((10, 3, 2))
    marks[[0, 4, 9]] = np.nan
    frames = np.arange(10)[:, None, None, None]
    assert with_face(frames, marks, 3)[0].ravel().tolist() == [1, 5, 8]
    assert with_face(frames, marks, None)[0].ravel().tolist() == [1, 2, 3, 5, 6, 7, 8]
    with pytest.raises(EadbenchError, match="no frame shows a face"):
        with_face(frames, marks * np.nan, 3)


# --- chips ---


def test_similarity_is_recovered():
    rng = np.random.default_rng(0)
    template = rng.uniform(0, 100, (5, 2))
    turn, scale = 0.4, 1.7
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = template @ rotation.T + [5, -8]
    matrix = similarity(points[None], template)[0]
    assert points @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(template)


def test_similarity_equals_scikit_image():
    from skimage.transform import SimilarityTransform, estimate_transform

    rng = np.random.default_rng(1)
    points, template = rng.uniform(0, 100, (4, 5, 2)), rng.uniform(0, 100, (5, 2))
    expected = [estimate_transform("similarity", p, template).params[:2] for p in points]
    assert SimilarityTransform is not None and similarity(points, template) == pytest.approx(
        np.array(expected), abs=1e-6
    )


def test_chips_put_eyes_where_they_belong():
    frame = np.zeros((1, 120, 120, 3), np.uint8)
    marks = np.zeros((1, 478, 2))
    marks[0, [468, 473, 1, 61, 291]] = [[40, 50], [70, 50], [55, 65], [45, 80], [65, 80]]
    marks[0, [263, 362, 33, 133, 2]] = [[76, 50], [64, 50], [34, 50], [46, 50], [55, 68]]
    cv2.circle(frame[0], (40, 50), 3, (255, 255, 255), -1)
    assert arcface_chips(frame, marks)[0, 48:56, 34:43].mean() > 100
    chip = dlib_chips(frame, marks)
    assert chip.shape == (1, 224, 224, 3)
    eye = np.argwhere(chip[0, ..., 0] > 128).mean(0)
    assert 70 < eye[0] < 100 and 60 < eye[1] < 95
    assert box_chips(frame, np.random.default_rng(0).uniform(30, 60, (1, 478, 2)), 32).shape == (1, 32, 32, 3)


def test_chips_of_large_faces_are_those_of_the_same_face_shrunk_before():
    """A fine grating averages to grey at any size; looked at in single points it leaves
    stripes.
    """
    frame = np.zeros((1, 1200, 1200, 3), np.uint8)
    frame[:, :, ::2] = 255
    marks = np.zeros((1, 478, 2))
    marks[0, [263, 362, 33, 133, 2]] = [(760, 500), (640, 500), (340, 500), (460, 500), (550, 680)]
    assert dlib_chips(frame, marks, 112)[0, 30:80, 30:80].std() < 20


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0, 9.0])
def test_arcface_chips_are_those_of_insightface(scale):
    align = pytest.importorskip(
        "insightface.utils.face_align", reason="the package insightface is not installed"
    )
    rng = np.random.default_rng(round(scale))
    frame = rng.integers(0, 256, (1, round(140 * scale), round(140 * scale), 3), np.uint8)
    marks = np.zeros((1, 478, 2), np.float32)
    points = np.add([[45, 60], [82, 55], [65, 78], [50, 98], [80, 96]], rng.normal(0, 1, (5, 2)))
    marks[0, [468, 473, 1, 61, 291]] = scale * points
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # insightface calls scikit-image's older method
        expected = align.norm_crop(frame[0], marks[0, [468, 473, 1, 61, 291]])
    gap = np.abs(arcface_chips(frame, marks)[0].astype(int) - expected)
    assert gap.mean() < 0.1 and gap.max() <= 8, (
        "OpenCV rounds places to 1/32 of a pixel, which is 8 levels of noise"
    )


# --- training ---


def test_evaluators_are_trained_on_the_train_split_and_say_how_well(tiny_clips, tmp_path):
    options = {
        "sync": {
            "kind": "syncnet_evaluator",
            "how": "trained",
            "options": {"width": 0.1, "size": 64, "dim": 16, "steps": 3, "clips": 2, "windows": 6},
        },
        "id": {
            "kind": "face_id",
            "how": "trained",
            "options": {"width": 0.125, "size": 32, "dim": 8, "steps": 60, "batch": 16, "lr": 0.005},
        },
    }
    config = ZooConfig.model_validate({"artefacts": options})
    cards = {
        name: make(name, config, 1, ArtefactInputs([tiny_clips], {}), tmp_path / name) for name in options
    }
    assert cards["sync"].facts["train_clips"] == 4 and cards["sync"].facts["val_window_accuracy"] is None
    assert 0 <= cards["sync"].facts["train_window_accuracy"] <= 1
    assert cards["id"].facts["train_speakers"] == 2 and cards["id"].facts["train_accuracy"] > 0.8
    again = make("sync", config, 1, ArtefactInputs([tiny_clips], {}), tmp_path / "again")
    assert again.files == cards["sync"].files


def test_training_without_labels_or_clips_is_refused(tiny_clips, tmp_path):
    config = ZooConfig.model_validate(
        {
            "artefacts": {
                "sync": {"kind": "syncnet_evaluator", "how": "trained", "options": {"steps": 1, "stepz": 3}}
            }
        }
    )
    with pytest.raises((EadbenchError, ValueError), match="stepz"):
        make("sync", config, 1, ArtefactInputs([tiny_clips], {}), tmp_path)
    config = ZooConfig.model_validate({"artefacts": {"id": {"kind": "face_id", "how": "trained"}}})
    with pytest.raises(EadbenchError, match="no kept clip"):
        make("id", config, 1, ArtefactInputs([], {}), tmp_path)


def test_verification_auc_tells_speakers_apart():
    from eadbench.zoo.evaluator_data import TrainingClip

    class Perfect:
        resolution, frames = 1, None

        def inputs(self, frames, landmarks):
            return frames

        def run(self, inputs):
            return inputs.reshape(len(inputs), -1)[:, :2].astype(float) + 1e-3

    def clip(speaker: str, value: tuple[int, int]) -> TrainingClip:
        return TrainingClip("c", speaker, None, np.array([value], np.uint8).reshape(1, 1, 1, 2), np.zeros(0))

    assert (
        face_id.verification_auc(
            Perfect(), [clip("a", (9, 1)), clip("a", (8, 1)), clip("b", (1, 9)), clip("b", (2, 9))]
        )
        == 1
    )
    assert face_id.verification_auc(Perfect(), [clip("a", (9, 1)), clip("a", (8, 1))]) is None
