"""IP_LAP without a GPU, without the download of VGG19, with newer face-alignment, and
with ``faces: given`` without any.
"""

import importlib.util
import sys
import types

import numpy as np
import torch
import torchvision

# MediaPipe's numbers for points 0-16 (contour from ear to ear) and 17-26 (eyebrows) of
# the usual 68, all that its paste contour reads.
CONTOUR = [127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356]
BROWS = [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]


class GivenLandmarkFaces:
    """Replaces ``face_alignment.FaceAlignment``: detects the mesh in the crop that it
    gets, as IP_LAP itself does in the frame.
    """

    def __init__(self, *args, **kwargs):
        import mediapipe

        self.mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=1, refine_landmarks=True
        )

    def get_landmarks(self, image):
        meshes = self.mesh.process(np.ascontiguousarray(image[..., ::-1])).multi_face_landmarks
        if not meshes:
            return None
        points = np.array([[p.x, p.y] for p in meshes[0].landmark]) * image.shape[1::-1]
        return [np.concatenate([points[CONTOUR + BROWS], np.zeros((41, 2))]).astype(np.float32)]


def install(options):
    """Replace missing modules and the detector; run on a CPU if there is no GPU."""
    if importlib.util.find_spec("lws") is None:  # imported, used with use_lws only, which it never sets
        sys.modules["lws"] = types.ModuleType("lws")
    if options["faces"] == "given":
        module = types.ModuleType("face_alignment")
        module.FaceAlignment, module.LandmarksType = GivenLandmarkFaces, types.SimpleNamespace(_2D=0)
        sys.modules["face_alignment"] = module
    else:
        import face_alignment

        if not hasattr(face_alignment.LandmarksType, "_2D"):  # renamed in 1.4
            face_alignment.LandmarksType._2D = face_alignment.LandmarksType.TWO_D
    # Its renderer holds a perceptual loss; the checkpoint brings that network's
    # weights, so those of the download would be overwritten.
    vgg19 = torchvision.models.vgg19
    torchvision.models.vgg19 = lambda pretrained=False, **more: vgg19(**more)
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *args, **kwargs: self
