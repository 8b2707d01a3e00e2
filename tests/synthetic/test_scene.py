"""What the frames show."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from eadbench.core.seeds import rng_for
from eadbench.synthetic.acting import EXPRESSIONS, Expression
from eadbench.synthetic.canvas import Light
from eadbench.synthetic.cast import cast
from eadbench.synthetic.features import Pose
from eadbench.synthetic.scene import Camera, HeadPose, Shot, backdrop
from eadbench.synthetic.take import SHARED, blinks, wander

REST = Expression()


@pytest.fixture(scope="module")
def shot():
    camera = Camera(160, 160, 0.6, 80, 82)
    return Shot(
        cast(20260425, "mead", "W011"),
        camera,
        Light(),
        backdrop(camera, "paper", rng_for(1, "ground")),
        rng_for(1, "texture"),
    )


def draw(shot, pose=None, head=None, expression=REST):
    return shot.frame(shot.layer(expression), pose or Pose(), head or HeadPose()).copy()


def rows_of_change(a, b, least=12):
    """Top and bottom of what differs, in units of the face."""
    changed = np.flatnonzero((np.abs(a.astype(int) - b).max(2) > least).any(1))
    return changed.min() / 0.6 + 128 - 82 / 0.6, changed.max() / 0.6 + 128 - 82 / 0.6


def test_a_frame_is_reproducible_and_leaves_no_trace(shot):
    first = draw(shot)
    draw(shot, Pose(open=1.0, blink=1.0, brow_in=1.0), HeadPose(yaw=0.1))
    assert first.shape == (160, 160, 3) and first.dtype == np.uint8
    assert np.array_equal(first, draw(shot))


def test_a_blink_hides_the_white_of_the_eyes_and_nothing_else(shot):
    wide, shut = draw(shot), draw(shot, Pose(blink=1.0))
    top, bottom = rows_of_change(wide, shut)
    assert top > 98 and bottom < 132

    def white(image):
        eyes = image[round(82 + (100 - 128) * 0.6) : round(82 + (128 - 128) * 0.6), 50:110].astype(int)
        return np.sum((eyes.min(2) > 150) & (eyes.max(2) - eyes.min(2) < 40))

    assert white(wide) > 15 and white(shut) == 0


def dark_red(image):
    """How much of the mouth's place is darker than skin and lips, in grey levels times
    pixels.
    """
    mouth = image[round(82 + (166 - 128) * 0.6) : round(82 + (196 - 128) * 0.6), 66:94].astype(int)
    return int(np.maximum(85 - mouth.max(2), 0).sum())


def test_the_mouth_opens_by_degrees_and_closes_for_p_b_m(shot):
    sizes = [dark_red(draw(shot, Pose(open=o))) for o in (0.0, 0.3, 0.6, 1.0)]
    assert sizes == sorted(sizes) and sizes[3] > 2 * sizes[1] > 0
    shut = draw(shot, Pose(open=1.0, close=1.0))
    assert abs(dark_red(shut) - dark_red(draw(shot, Pose(close=1.0)))) < 0.05 * sizes[3]
    for e in EXPRESSIONS.values():
        pose = Pose(**{name: getattr(e, name) for name in SHARED}, rest_open=e.open, open=1.0)
        assert sum(shot.mouth.opening(pose)) > 8 and sum(shot.mouth.opening(replace(pose, close=1.0))) == 0


def test_the_jaw_moves_the_chin_not_the_forehead(shot):
    top, bottom = rows_of_change(draw(shot), draw(shot, Pose(open=1.0)))
    assert top > 140 and bottom > 200


def test_rounding_narrows_and_spreading_widens(shot):
    widths = [
        shot.mouth.width(pose)
        for pose in (Pose(round=1.0), Pose(), Pose(wide=1.0), Pose(wide=1.0, stretch=1.0))
    ]
    assert widths == sorted(widths) and widths[-1] > 1.8 * widths[0]


def test_teeth_show_in_a_bite_and_the_tongue_in_th(shot):
    closed, bite = draw(shot, Pose()), draw(shot, Pose(bite=1.0))
    mouth = np.s_[round(82 + (165 - 128) * 0.6) : round(82 + (185 - 128) * 0.6), 66:94]
    assert (bite[mouth].min(2) > 130).sum() > (closed[mouth].min(2) > 130).sum() + 5
    plain, tongue = draw(shot, Pose(open=0.5)), draw(shot, Pose(open=0.5, tongue=1.0))
    assert np.abs(plain[mouth].astype(int) - tongue[mouth]).max() > 60


def test_turning_moves_the_nose_more_than_the_outline(shot):
    def flow(head):
        a, b = (cv2.cvtColor(draw(shot, head=t), cv2.COLOR_RGB2GRAY) for t in (HeadPose(), head))
        return cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 13, 5, 5, 1.1, 0)

    right = flow(HeadPose(yaw=0.1))
    nose = right[82 + 6 : 82 + 13, 76:85, 0].mean()
    cheek = right[82 + 6 : 82 + 13, 46:50, 0].mean()
    assert nose > 2.0 and cheek < 0.5 * nose
    assert flow(HeadPose(pitch=0.1))[82 + 6 : 82 + 13, 76:85, 1].mean() > 2.0


def test_the_ground_stays_where_the_actor_is_not(shot):
    frames = [
        draw(shot, head=head) for head in (HeadPose(), HeadPose(yaw=0.12, x=3), HeadPose(roll=0.1, y=-3))
    ]
    corner = np.s_[:30, :14]
    assert all(np.array_equal(frames[0][corner], frame[corner]) for frame in frames)


def test_emotions_look_different_from_each_other(shot):
    def face(name):
        e = EXPRESSIONS[name]
        pose = Pose(**{field: getattr(e, field) for field in SHARED}, rest_open=e.open)
        return draw(shot, pose, expression=e)[38:150, 40:120].astype(float)

    faces = {name: face(name) for name in EXPRESSIONS}
    for name, image in faces.items():
        others = [
            np.sqrt(np.mean((image - other) ** 2))
            for other_name, other in faces.items()
            if other_name != name
        ]
        assert min(others) > 3.0, name


@pytest.mark.parametrize("size", [(96, 96), (384, 256), (640, 360), (1280, 720)])
def test_any_frame_size_and_place(size):
    camera = Camera(*size, size[1] / 330, size[0] * 0.4, size[1] * 0.46)
    shot = Shot(
        cast(1, "hdtf", "RD/Radio1"),
        camera,
        Light(),
        backdrop(camera, "room", rng_for(1, "g")),
        rng_for(1, "t"),
    )
    frame = shot.frame(shot.layer(REST), Pose(open=0.5), HeadPose(yaw=0.2, pitch=-0.1, x=4))
    assert frame.shape == (size[1], size[0], 3) and frame.std() > 15


def test_blinks_close_fully_and_are_rare():
    closed = blinks(3000, 25.0, rng_for(1, "b"))
    assert closed.max() == 1.0 and 0.02 < np.mean(closed > 0.5) < 0.12


def test_wandering_has_the_asked_size_and_is_smooth():
    path = wander(5000, 25.0, 2.0, rng_for(1, "w"))
    assert path.std() == pytest.approx(2.0, rel=0.25) and np.abs(np.diff(path)).max() < 1.0
