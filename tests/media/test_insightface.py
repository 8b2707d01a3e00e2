"""The package insightface runs a pack's detector. The pack cannot be had here: a small
network with SCRFD's outputs finds patches of colour.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from eadbench.core.errors import EadbenchError
from eadbench.media.faces import InsightfaceDetector, make_detector

# outputs -> levels, boxes per place, kinds of output
LAYOUTS = {6: (3, 2, 2), 9: (3, 2, 3), 10: (5, 1, 2), 15: (5, 1, 3)}
# what the network says of every place: left, top, right, bottom, in strides
SIDES = np.array([[1, 2, 3, 4]], np.float32)


def colour_detector(path: Path, outputs: int = 9, side: int | str = "side") -> None:
    """A network that finds red on the level of stride 8, green on that of 16 and blue
    on that of 32 pixels, with a score of ``value / 256``.

    Args:
        side: Side of the input that the file declares; det_10g.onnx leaves it open.
    """
    levels, anchors, kinds = LAYOUTS[outputs]
    constants = [
        ("zero", np.zeros(1, np.float32)),
        ("column", np.array([-1, 1])),
        ("sides", SIDES),
        ("points", np.zeros((1, 10), np.float32)),
    ]
    nodes, names = (
        [],
        [
            [f"scores{k}" for k in range(levels)],
            [f"sides{k}" for k in range(levels)],
            [f"points{k}" for k in range(levels)],
        ],
    )
    for k in range(levels):
        stride = 8 << k
        weights = np.zeros((anchors, 3, stride, stride), np.float32)
        if k < 3:
            weights -= 0.25 / stride**2
            weights[:, k] = 0.5 / stride**2
        constants.append((f"weights{k}", weights))
        nodes += [
            helper.make_node("Conv", ["input.1", f"weights{k}"], [f"map{k}"], strides=[stride, stride]),
            helper.make_node("Transpose", [f"map{k}"], [f"rows{k}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"rows{k}", "column"], [f"scores{k}"]),
            helper.make_node("Mul", [f"scores{k}", "zero"], [f"nothing{k}"]),
            helper.make_node("Add", [f"nothing{k}", "sides"], [f"sides{k}"]),
        ]
        if kinds == 3:
            nodes.append(helper.make_node("Add", [f"nothing{k}", "points"], [f"points{k}"]))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, side, side])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"places_{name}", width])
            for level_names, width in zip(names[:kinds], (1, 4, 10), strict=False)
            for name in level_names
        ],
        [numpy_helper.from_array(value, name) for name, value in constants],
    )
    _save(graph, path)


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def patch(image: np.ndarray, channel: int, column: int, row: int, stride: int, value: int = 255) -> None:
    """Colour the place of a 1280 x 720 frame that the network, which sees it at half
    its size, has at ``column, row`` of a level.
    """
    image[
        2 * row * stride : 2 * (row + 1) * stride, 2 * column * stride : 2 * (column + 1) * stride, channel
    ] = value


def box_at(column: int, row: int, stride: int) -> np.ndarray:
    """The box of that place in pixels of the frame."""
    left, top, right, bottom = SIDES[0]
    return 2 * stride * np.array([column - left, row - top, column + right, row + bottom])


@pytest.mark.parametrize("side", ["side", 640])
@pytest.mark.parametrize("outputs", LAYOUTS)
def test_boxes_in_pixels_of_the_frame_largest_first(tmp_path, outputs, side):
    """Red, green and blue are found on their own levels only if the package gets the
    channels in its order and the scale is undone.
    """
    colour_detector(tmp_path / "det_10g.onnx", outputs, side)
    image = np.zeros((720, 1280, 3), np.uint8)
    patch(image, 0, 60, 20, 8)
    patch(image, 1, 8, 15, 16)
    patch(image, 2, 10, 4, 32)
    boxes = make_detector("auto", tmp_path)(image)
    assert boxes.dtype == np.float32
    assert np.allclose(boxes, [box_at(10, 4, 32), box_at(8, 15, 16), box_at(60, 20, 8)], atol=0.1)


def test_echoes_and_weak_ones_are_dropped(tmp_path):
    colour_detector(tmp_path / "det_10g.onnx")
    image = np.zeros((720, 1280, 3), np.uint8)
    patch(image, 0, 30, 20, 8)
    patch(image, 0, 31, 20, 8, 180)  # overlaps by 0.6 with the better one beside it
    patch(image, 0, 60, 20, 8, 120)  # score 0.47
    assert np.allclose(make_detector("insightface", tmp_path)(image), [box_at(30, 20, 8)], atol=0.1)


def test_no_face_is_no_box(tmp_path):
    colour_detector(tmp_path / "det_10g.onnx")
    assert InsightfaceDetector(tmp_path)(np.zeros((720, 405, 3), np.uint8)).shape == (0, 4)


def test_the_packs_other_models_are_left_alone(tmp_path):
    (tmp_path / "1k3d68.onnx").write_bytes(b"this is no model")
    (tmp_path / "w600k_r50.onnx").write_bytes(b"this is no model")
    with pytest.raises(EadbenchError, match="has no detector"):
        InsightfaceDetector(tmp_path)
    colour_detector(tmp_path / "det_10g.onnx")
    InsightfaceDetector(tmp_path)


def test_damaged_and_wrong_models_are_refused(tmp_path):
    path = tmp_path / "det_10g.onnx"
    path.write_bytes(b"this is no model")
    with pytest.raises(EadbenchError, match="not a usable ONNX model"):
        InsightfaceDetector(tmp_path)
    face = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 112, 112])
    same = helper.make_tensor_value_info("same", TensorProto.FLOAT, [1, 3, 112, 112])
    _save(
        helper.make_graph([helper.make_node("Identity", ["data"], ["same"])], "recognition", [face], [same]),
        path,
    )
    with pytest.raises(EadbenchError, match="does not take this model for a face detector"):
        InsightfaceDetector(tmp_path)
