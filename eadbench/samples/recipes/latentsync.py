"""LatentSync without its "cuda" literals where there is no GPU, and with
``faces: given`` without InsightFace.
"""

import sys
import types

import numpy as np
import torch

# Its affine alignment reads three means of InsightFace's 106 points: both eyebrows and
# the nose. MediaPipe's numbers for the same places.
GROUPS = [
    ([43, 48, 49, 51, 50], [70, 63, 105, 66, 107, 55, 65, 52, 53, 46]),
    ([101, 102, 103, 104, 105], [336, 296, 334, 293, 300, 276, 283, 282, 295, 285]),
    ([74, 77, 83, 86], [195, 102, 331, 1]),
]


class GivenFaces:
    """Replaces its ``FaceDetector``: returns the landmarks of the next frame, since it
    is called once per frame, in order.
    """

    def __init__(self, device=None):
        self.remaining = list(np.load("landmarks.npy"))
        self.last = self.remaining[-1]

    def __call__(self, frame, threshold=0.5):
        points = self.remaining.pop(0) if self.remaining else self.last
        insightface_points = np.zeros((106, 2))
        for insightface_indices, mediapipe_indices in GROUPS:
            insightface_points[insightface_indices] = points[mediapipe_indices].mean(0)
        low, high = points.min(0), points.max(0)
        return (*low.astype(int), *high.astype(int)), insightface_points


def install(options):
    """Replace the detector; run on a CPU if there is no GPU."""
    given_faces = options["faces"] == "given"
    if given_faces:
        # its detector imports InsightFace, which is not needed then
        for name in ("insightface", "insightface.app"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["insightface.app"].FaceAnalysis = None

    import latentsync.pipelines.lipsync_pipeline as pipeline
    import latentsync.utils.image_processor as image_processor
    import latentsync.whisper.audio2feature as audio2feature

    if given_faces:
        image_processor.FaceDetector = GivenFaces
    if torch.cuda.is_available():
        return

    image_processor_class, load_encoder = pipeline.ImageProcessor, audio2feature.load_model
    to_device = pipeline.LipsyncPipeline.to

    def on_cpu(resolution, device, mask_image):
        processor = image_processor_class(resolution, device="cpu", mask_image=mask_image)
        processor.face_detector = GivenFaces() if given_faces else own_faces(image_processor.FaceDetector)
        return processor

    def to_cpu(self, device, *args, **kwargs):
        return to_device(self, "cpu", *args, **kwargs)

    pipeline.ImageProcessor = on_cpu
    pipeline.LipsyncPipeline.to = to_cpu
    audio2feature.load_model = lambda path, device: load_encoder(path, "cpu")


def own_faces(detector):
    """Its ``FaceDetector`` on the CPU."""
    from insightface.app import FaceAnalysis

    detector_on_cpu = object.__new__(detector)
    detector_on_cpu.app = FaceAnalysis(
        allowed_modules=["detection", "landmark_2d_106"],
        root="checkpoints/auxiliary",
        providers=["CPUExecutionProvider"],
    )
    detector_on_cpu.app.prepare(ctx_id=-1, det_size=(512, 512))
    return detector_on_cpu
