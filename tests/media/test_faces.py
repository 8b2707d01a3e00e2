"""Detectors and face mesh on a photograph."""

import numpy as np
import pytest
from material import face_frames

from eadbench.core.errors import EadbenchError
from eadbench.media.faces import (
    EmbeddedDetector,
    FaceMesh,
    box_of,
    choose_detector,
    make_detector,
    overlap,
    yaw_of,
)
from eadbench.media.mesh import CHIN, FOREHEAD, STABLE, TEMPLATE, template


@pytest.fixture(scope="module")
def mesh():
    mesh = FaceMesh()
    yield mesh
    mesh.close()


@pytest.mark.parametrize("name", ["embedded", "blaze", "haar"])
def test_detectors_agree_with_the_mesh(name, mesh):
    frame = face_frames(1, 320, 240, 0.9)[0]
    mesh.reset()
    boxes = make_detector(name)(frame)
    assert len(boxes) == 1
    assert overlap(boxes[0], box_of(mesh(frame))) > 0.4
    assert len(make_detector(name)(np.full((240, 320, 3), 90, np.uint8))) == 0


def test_two_faces_largest_first():
    frame = np.concatenate([face_frames(1, 260, 260, 0.7)[0], face_frames(1, 260, 260, 1.0)[0]], 1)
    boxes = make_detector("embedded")(frame)
    assert len(boxes) == 2 and boxes[0, 0] > 260 > boxes[1, 0]


def test_mesh_forgets(mesh):
    first, other = face_frames(6, 288, 288, 1.0), face_frames(6, 288, 288, 0.8, mirror=True)
    mesh.reset()
    alone = [mesh(frame) for frame in other]
    for frame in first:
        mesh(frame)
    mesh.reset()
    assert all(np.array_equal(a, mesh(frame)) for a, frame in zip(alone, other, strict=True))


def test_the_first_frame_has_settled(mesh):
    face = face_frames(1, 256, 256, 0.9)[0]
    mesh.reset()
    first = mesh(face)
    later = [mesh._run(face) for _ in range(10)][-1]
    assert np.linalg.norm(first - later, axis=1).mean() < 0.1


def test_what_moves_is_looked_at_in_every_frame(mesh, monkeypatch):
    frames = face_frames(12, 256, 256, 0.9)
    runs, real = [], mesh._run
    monkeypatch.setattr(mesh, "_run", lambda image: runs.append(1) or real(image))
    mesh.reset()
    points = [mesh(frame) for frame in frames]
    assert len(runs) >= len(frames) and len({mesh.tobytes() for mesh in points}) == len(frames)


def test_mesh_in_pixels(mesh):
    mesh.reset()
    points = mesh(face_frames(1, 288, 288, 1.0)[0])
    mesh.reset()
    half = mesh(face_frames(1, 288, 288, 1.0)[0][::2, ::2])
    assert points.shape == (478, 3)
    assert np.abs(points[:, :2] / 2 - half[:, :2]).mean() < 2.0
    assert abs(yaw_of(points)) < 30
    mirrored = face_frames(1, 288, 288, 1.0, mirror=True)[0]
    mesh.reset()
    assert np.sign(yaw_of(mesh(mirrored))) == -np.sign(yaw_of(points))


def test_no_face_is_none(mesh):
    mesh.reset()
    assert mesh(np.full((288, 288, 3), 128, np.uint8)) is None


@pytest.mark.parametrize("margin", [0.3, 0.5, 1.0])
def test_template_leaves_room_for_forehead_chin_and_open_mouth(margin):
    size = 200
    points = template(size, margin)
    eyes = points[STABLE.index(33)], points[STABLE.index(263)]
    unit, middle = eyes[1][0] - eyes[0][0], (eyes[0] + eyes[1]) / 2
    top, chin = middle[1] + TEMPLATE[FOREHEAD][1] * unit, middle[1] + TEMPLATE[CHIN][1] * unit
    assert chin - top == pytest.approx(size / (1 + margin))
    assert top > 0.08 * size and chin + 0.1 * (chin - top) < size
    assert middle[0] == pytest.approx((size - 1) / 2)


def test_a_web_page_in_place_of_the_packs_model_is_told(tmp_path):
    (tmp_path / "det_10g.onnx").write_text("<!DOCTYPE html><html>quota exceeded</html>")
    with pytest.raises(EadbenchError, match="the file is a web page"):
        make_detector("insightface", tmp_path)


def test_auto_takes_insightface_where_its_pack_is(tmp_path):
    assert choose_detector("auto", tmp_path) == "embedded"
    assert isinstance(make_detector("auto", tmp_path), EmbeddedDetector)
    (tmp_path / "det_10g.onnx").touch()
    assert choose_detector("auto", tmp_path) == "insightface"
    assert choose_detector("haar", tmp_path) == "haar"


def test_unknown_and_missing_detectors(tmp_path):
    with pytest.raises(EadbenchError, match="unknown face detector"):
        make_detector("magic")
    with pytest.raises(EadbenchError, match="has no detector") as caught:
        make_detector("insightface", tmp_path)
    assert "embedded" in str(caught.value)
