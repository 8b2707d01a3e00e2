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
    """In the place of its ``FaceDetector``: the landmarks of the next frame; it asks
    once per frame, in order.
    """

    def __init__(self, device=None):
        self.left = list(np.load("landmarks.npy"))
        self.last = self.left[-1]

    def __call__(self, frame, threshold=0.5):
        points = self.left.pop(0) if self.left else self.last
        theirs = np.zeros((106, 2))
        for numbers, ours in GROUPS:
            theirs[numbers] = points[ours].mean(0)
        low, high = points.min(0), points.max(0)
        return (*low.astype(int), *high.astype(int)), theirs


def install(options):
    """Faces, device."""
    given = options["faces"] == "given"
    if given:  # imported by its detector; non-commercial weights, and no part of what follows
        app = types.ModuleType("insightface.app")
        app.FaceAnalysis = None
        sys.modules["insightface"], sys.modules["insightface.app"] = types.ModuleType("insightface"), app

    import latentsync.pipelines.lipsync_pipeline as pipeline
    import latentsync.utils.image_processor as image_processor
    import latentsync.whisper.audio2feature as audio2feature

    if given:
        image_processor.FaceDetector = GivenFaces
    if torch.cuda.is_available():
        return

    processor, encoder, move = pipeline.ImageProcessor, audio2feature.load_model, pipeline.LipsyncPipeline.to

    def on_cpu(resolution, device, mask_image):
        made = processor(resolution, device="cpu", mask_image=mask_image)
        made.face_detector = GivenFaces() if given else own_faces(image_processor.FaceDetector)
        return made

    pipeline.ImageProcessor = on_cpu
    audio2feature.load_model = lambda path, device: encoder(path, "cpu")
    pipeline.LipsyncPipeline.to = lambda self, device, *args, **kwargs: move(self, "cpu", *args, **kwargs)


def own_faces(detector):
    """Its ``FaceDetector`` on the CPU."""
    from insightface.app import FaceAnalysis

    made = object.__new__(detector)
    made.app = FaceAnalysis(
        allowed_modules=["detection", "landmark_2d_106"],
        root="checkpoints/auxiliary",
        providers=["CPUExecutionProvider"],
    )
    made.app.prepare(ctx_id=-1, det_size=(512, 512))
    return made
