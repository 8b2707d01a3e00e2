"""Real detectors find the drawn faces; docs/detectors.md has the full table."""

import numpy as np
import pytest

from eadbench.core.seeds import rng_for
from eadbench.synthetic.acting import EXPRESSIONS
from eadbench.synthetic.canvas import Light
from eadbench.synthetic.cast import cast
from eadbench.synthetic.features import Pose
from eadbench.synthetic.scene import Camera, HeadPose, Shot, backdrop
from eadbench.synthetic.take import SHARED

DARK, PALE = "M005", "W014"


@pytest.fixture(scope="module", params=[DARK, PALE])
def frames(request):
    """Every emotion, mouth closed and open, head straight and turned."""
    actor = cast(20260425, "mead", request.param)
    assert (np.mean(actor.skin) < 80) == (request.param == DARK)
    camera = Camera(256, 256, 1.0, 128, 130)
    shot = Shot(actor, camera, Light(), backdrop(camera, "paper", rng_for(1, "g")), rng_for(1, "t"))
    images = {}
    for name, e in EXPRESSIONS.items():
        pose = {field: getattr(e, field) for field in SHARED} | {"rest_open": e.open}
        layer = shot.layer(e)
        images[name] = [
            shot.frame(layer, Pose(**pose), HeadPose()).copy(),
            shot.frame(layer, Pose(**pose, open=0.9), HeadPose(yaw=0.08)).copy(),
        ]
    return images


def test_the_face_mesh_finds_every_face_and_sees_the_mouth_open(frames):
    import mediapipe

    with mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=1, refine_landmarks=True
    ) as mesh:
        for name, pair in frames.items():
            gaps = []
            for image in pair:
                faces = mesh.process(image).multi_face_landmarks
                assert faces, name
                points = np.array([(p.x, p.y) for p in faces[0].landmark]) * 256
                assert abs(points[:, 0].mean() - 128) < 15 and 70 < np.ptp(points[:, 1]) < 230
                gaps.append(points[14, 1] - points[13, 1])
            assert gaps[1] > gaps[0] + 2, name
