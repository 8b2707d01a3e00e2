"""What SCRFD's outputs mean, shown on outputs made for known boxes. The pack itself cannot be had here."""

import numpy as np
import pytest

from eadbench.core.errors import EadbenchError
from eadbench.media import scrfd
from eadbench.media.scrfd import LAYOUTS, SIDE, ScrfdDetector, decode


def outputs_for(boxes: list[tuple[float, float, float, float, float]], count: int) -> list[np.ndarray]:
    """What the network would say of ``(x0, y0, x1, y1, score)``: at the place next to the centre, on the level that suits the size, and a weaker
    echo on the place beside it.
    """
    levels, anchors = LAYOUTS[count]
    scores = [np.zeros(((SIDE // (8 << k)) ** 2 * anchors, 1), np.float32) for k in range(levels)]
    sides = [np.zeros((len(s), 4), np.float32) for s in scores]
    for x0, y0, x1, y1, score in boxes:
        level = int(np.clip(np.log2((x1 - x0) / 32), 0, levels - 1))
        stride, width = 8 << level, SIDE // (8 << level)
        column, row = int((x0 + x1) / 2 / stride), int((y0 + y1) / 2 / stride)
        for k, weaker in ((0, 0.0), (1, 0.2)):
            at = (row * width + column + k) * anchors
            x, y = (column + k) * stride, row * stride
            sides[level][at] = np.array([x - x0, y - y0, x1 - x, y1 - y]) / stride
            scores[level][at] = score - weaker
    points = [np.zeros((len(s), 10), np.float32) for s in scores] if count in (9, 15) else []
    return [*scores, *sides, *points]


class Session:
    """Answers with the given outputs and keeps what it was shown."""

    def __init__(self, outputs):
        self.outputs, self.shown = outputs, None

    def get_inputs(self):
        return [type("Input", (), {"name": "input.1"})]

    def get_outputs(self):
        return self.outputs

    def run(self, _, given):
        self.shown = given["input.1"]
        return self.outputs


def detector(monkeypatch, tmp_path, outputs) -> tuple[ScrfdDetector, Session]:
    session = Session(outputs)
    monkeypatch.setattr(scrfd, "_open", lambda path: session)
    (tmp_path / "det_10g.onnx").touch()
    return ScrfdDetector(tmp_path), session


@pytest.mark.parametrize("count", LAYOUTS)
def test_boxes_come_back(count):
    boxes = [(100, 50, 180, 160, 0.9), (300, 400, 340, 450, 0.75), (10, 10, 630, 630, 0.6)]
    found, scores = decode(outputs_for(boxes, count), *LAYOUTS[count])
    for *box, score in boxes:
        near = np.abs(found - box).max(1) < 1e-2
        assert near.any() and np.isclose(scores[near].max(), score)
    assert (scores >= 0.5).all()


def test_in_pixels_of_the_picture_without_echoes_largest_first(monkeypatch, tmp_path):
    """A picture of 1280 x 720 is seen at half its size, in the top left of the square; colours as the network knows them."""
    look, session = detector(monkeypatch, tmp_path, outputs_for([(300, 200, 340, 250, 0.9), (100, 50, 200, 160, 0.8), (400, 200, 440, 250, 0.4)], 9))
    image = np.zeros((720, 1280, 3), np.uint8)
    image[..., 0] = 255
    boxes = look(image)
    assert boxes.dtype == np.float32
    assert np.allclose(boxes, [[200, 100, 400, 320], [600, 400, 680, 500]], atol=0.1)
    assert session.shown.shape == (1, 3, SIDE, SIDE)
    assert np.allclose(session.shown[0, :, 100, 100], [127.5 / 128, -127.5 / 128, -127.5 / 128])
    assert np.allclose(session.shown[0, :, 500, 100], -127.5 / 128)


def test_no_face_is_no_box(monkeypatch, tmp_path):
    look, _ = detector(monkeypatch, tmp_path, outputs_for([], 9))
    assert look(np.zeros((720, 405, 3), np.uint8)).shape == (0, 4)


def test_other_models_are_refused(monkeypatch, tmp_path):
    with pytest.raises(EadbenchError, match="1 outputs"):
        detector(monkeypatch, tmp_path, [np.zeros((1, 512))])
    monkeypatch.undo()
    (tmp_path / "det_10g.onnx").write_bytes(b"this is no model")
    with pytest.raises(EadbenchError, match="not a usable ONNX model"):
        ScrfdDetector(tmp_path)
    (tmp_path / "det_10g.onnx").rename(tmp_path / "w600k_r50.onnx")
    with pytest.raises(EadbenchError, match="has no detector"):
        ScrfdDetector(tmp_path)
