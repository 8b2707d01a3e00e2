"""What can be read off a face mesh: brows, eyes, mouth and head, in units of the
distance between the eyes.

Indices are those of MediaPipe's 478-point mesh. "Left" and "right" are the subject's.
All heights count upwards from the line through the eyes.
"""

import zipfile
from pathlib import Path

import numpy as np

from eadbench.core.errors import EadbenchError

POINTS = 478
RIGHT_EYE, LEFT_EYE = (33, 133), (263, 362)  # outer and inner corner
UPPER_LIDS, LOWER_LIDS = ((160, 159, 158), (385, 386, 387)), ((144, 145, 153), (373, 374, 380))
BROWS_INNER, BROWS_MIDDLE, BROWS_OUTER = (55, 107, 285, 336), (52, 105, 282, 334), (46, 70, 276, 300)
BROW_INNER_RIGHT, BROW_INNER_LEFT = (55, 107), (285, 336)
CORNER_RIGHT, CORNER_LEFT = 61, 291
LIP_TOP, LIP_INNER_TOP, LIP_INNER_BOTTOM, NOSE_BASE = 0, 13, 14, 2

MEASURES = (
    "brow_height",
    "brow_tilt",
    "brow_gap",
    "eye_opening",
    "lower_lid",
    "mouth_corners",
    "mouth_width",
    "mouth_opening",
    "lip_raise",
    "asymmetry",
    "head_motion",
)


def face_frame(points: np.ndarray) -> np.ndarray:
    """Move landmarks ``(T, P, 2)`` in pixels to the face's own axes: origin between the
    eyes, x along them, y up, unit the distance of the eyes.
    """
    right, left = points[:, RIGHT_EYE].mean(1), points[:, LEFT_EYE].mean(1)
    along = left - right
    distance = np.linalg.norm(along, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        x_axis = along / distance[:, None]
        y_axis = np.stack([x_axis[:, 1], -x_axis[:, 0]], 1)
        moved = points - ((right + left) / 2)[:, None]
        return (
            np.stack([np.einsum("tpc,tc->tp", moved, x_axis), np.einsum("tpc,tc->tp", moved, y_axis)], -1)
            / distance[:, None, None]
        )


def frame_measures(points: np.ndarray) -> dict[str, np.ndarray]:
    """Each measure of each frame, ``(T,)``; signed ones grow with what their name says,
    `mouth_side` is the left corner's height over the right's.
    """
    face = face_frame(points)
    height = face[..., 1]

    def mean_height(indices: tuple[int, ...]) -> np.ndarray:
        return height[:, indices].mean(1)

    lids = [
        (mean_height(upper), mean_height(lower)) for upper, lower in zip(UPPER_LIDS, LOWER_LIDS, strict=True)
    ]
    return {
        "brow_height": mean_height(BROWS_INNER + BROWS_MIDDLE + BROWS_OUTER),
        "brow_tilt": mean_height(BROWS_INNER) - mean_height(BROWS_OUTER),
        "brow_gap": face[:, BROW_INNER_LEFT, 0].mean(1) - face[:, BROW_INNER_RIGHT, 0].mean(1),
        "eye_opening": np.mean([upper - lower for upper, lower in lids], 0),
        "lower_lid": np.mean([lower for _, lower in lids], 0),
        # The upper lip, not the middle of the mouth, is the reference: the lower lip
        # follows the jaw.
        "mouth_corners": (height[:, CORNER_RIGHT] + height[:, CORNER_LEFT]) / 2 - height[:, LIP_INNER_TOP],
        "mouth_side": height[:, CORNER_LEFT] - height[:, CORNER_RIGHT],
        "mouth_width": face[:, CORNER_LEFT, 0] - face[:, CORNER_RIGHT, 0],
        "mouth_opening": height[:, LIP_INNER_TOP] - height[:, LIP_INNER_BOTTOM],
        "lip_raise": height[:, LIP_TOP] - height[:, NOSE_BASE],
    }


def clip_measures(points: np.ndarray, box: np.ndarray, matrix: np.ndarray) -> dict[str, float]:
    """One number per measure of a clip, robust against blinks and visemes.

    Args:
        points: Landmarks ``(T, 478, 2)`` in aligned pixels; NaN where the face was not
            found.
        box: Face boxes ``(T, 4)`` in source pixels.
        matrix: Affine maps ``(T, 2, 3)`` from source to aligned pixels.

    Raises:
        ValueError: If no frame has a face, or numbers are not of that shape.
    """
    if points.ndim != 3 or points.shape[1:] != (POINTS, 2):
        raise ValueError(f"landmarks have shape {points.shape}, expected (T, {POINTS}, 2)")
    per_frame = frame_measures(points.astype(np.float64))
    has_face = np.isfinite(np.stack(list(per_frame.values()))).all(0)
    if not has_face.any():
        raise ValueError("no frame has a face")
    per_frame = {name: values[has_face] for name, values in per_frame.items()}
    # frames in which speech opens the mouth least
    quiet = per_frame["mouth_opening"] <= np.median(per_frame["mouth_opening"])
    clip = {name: float(np.median(values)) for name, values in per_frame.items()}
    clip["eye_opening"] = float(np.quantile(per_frame["eye_opening"], 0.6))  # above the blinks
    for name in ("mouth_corners", "mouth_side", "mouth_width", "lip_raise"):
        clip[name] = float(np.median(per_frame[name][quiet]))
    clip["mouth_opening"] = float(np.quantile(per_frame["mouth_opening"], 0.25))
    clip["head_motion"] = head_motion(box[has_face], matrix[has_face])
    return clip


def head_motion(box: np.ndarray, matrix: np.ndarray) -> float:
    """Spread of the head's place (in box heights) plus spread of its roll (in radians)
    over the clip.
    """
    centre = (box[:, :2] + box[:, 2:]) / 2
    size = np.median(box[:, 3] - box[:, 1])
    place = np.linalg.norm((centre - np.median(centre, 0)) / max(size, 1e-6), axis=1)
    roll = np.unwrap(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    return float(np.median(place) + np.median(np.abs(roll - np.median(roll))))


def measure_track(path: Path) -> dict[str, float]:
    """:func:`clip_measures` of a clip's track file.

    Raises:
        EadbenchError: If the file is missing, damaged or shows no face.
    """
    try:
        with np.load(path, allow_pickle=False) as track:
            return clip_measures(track["landmarks"], track["box"], track["matrix"])
    except FileNotFoundError as error:
        raise EadbenchError(
            "the clip's track is missing", path, "run `clips cut` again for its shard"
        ) from error
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise EadbenchError(
            f"the clip's track cannot be used: {error}", path, "run `clips cut` again for its shard"
        ) from error
