"""MuseTalk with given faces: its ``musetalk.utils.preprocessing`` builds DWPose
(mmpose, mmcv) and S3FD when imported; ours replaces it.
"""

import sys
import types

import cv2
import numpy as np

# MediaPipe's numbers for what its rule reads of DWPose's 68 points: the contour from
# ear to ear, and point 29 on the bridge of the nose.
CONTOUR = [
    127,
    234,
    93,
    132,
    58,
    172,
    136,
    150,
    149,
    176,
    148,
    152,
    377,
    400,
    378,
    379,
    365,
    397,
    288,
    361,
    323,
    454,
    356,
]
BRIDGE = 195
NO_FACE = (0.0, 0.0, 0.0, 0.0)


def box_of(points):
    """Its rule in ``get_landmark_and_bbox``: as far above the bridge of the nose as the
    chin is below it.
    """
    contour, bridge = points[CONTOUR].astype(int), int(points[BRIDGE, 1])
    left, right = int(contour[:, 0].min()), int(contour[:, 0].max())
    bottom = int(contour[:, 1].max())
    return max(left, 0), max(2 * bridge - bottom, 0), right, bottom


def read_imgs(paths):
    """As its own."""
    return [cv2.imread(path) for path in paths]


def get_landmark_and_bbox(paths, upperbondrange=0):
    """Boxes ``(left, top, right, bottom)`` and frames, as its own."""
    frames, landmarks = read_imgs(paths), np.load("landmarks.npy")
    boxes = [box_of(points) for points in landmarks]
    boxes += [boxes[-1]] * (len(frames) - len(boxes))
    return boxes[: len(frames)], frames


def install(options):
    """Replace the module unless its own detectors shall run."""
    if options["faces"] == "given":
        module = types.ModuleType("musetalk.utils.preprocessing")
        module.read_imgs = read_imgs
        module.get_landmark_and_bbox = get_landmark_and_bbox
        module.coord_placeholder = NO_FACE
        sys.modules[module.__name__] = module
