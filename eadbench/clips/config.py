"""Section ``clips`` of the config: how recordings become aligned clips, and which are
kept.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from eadbench.core.errors import EadbenchError
from eadbench.core.section import Section

READS = {
    "cut": ("clips", "-clips.keep", "-clips.sync"),
    "check": ("device", "clips.keep", "clips.sync"),
    "report": tuple(f"corpora.sets.{{corpus}}.{key}" for key in ("kind", "studio.layout", "test_list")),
}


class KeepConfig(Section):
    """Thresholds on the measures of a candidate; ``None`` does not look at that
    measure.

    Attributes:
        min_face_size: Least median face height in source pixels.
        min_detection_rate: Least share of frames in which the face was found.
        max_faces: Most faces on average.
        max_yaw: Largest median turn of the head in degrees.
        max_jitter: Largest residual motion of the aligner, pixels per frame squared.
        min_sharpness: Least variance of the Laplacian of the face at the clip's size.
        min_brightness, max_brightness: Range of the mean grey level of the face.
    """

    min_face_size: float | None = None
    min_detection_rate: float | None = None
    max_faces: float | None = None
    max_yaw: float | None = None
    max_jitter: float | None = None
    min_sharpness: float | None = None
    min_brightness: float | None = None
    max_brightness: float | None = None


class SyncConfig(Section):
    """What ``clips check`` does with the evaluator's verdict.

    Attributes:
        tolerance: Offsets of up to this many frames are left as they are.
        correct_up_to: The audio is moved by offsets of up to this many frames; 0 never
            moves it.
        drop_beyond: Clips with a larger offset are dropped; ``None`` keeps them.
        trust_from: Offsets are only acted upon at this confidence or more, since a weak
            verdict names an offset at random.
        min_confidence: Least SyncNet confidence (LSE-C); ``None`` keeps all.
    """

    tolerance: int = Field(0, ge=0)
    correct_up_to: int = Field(6, ge=0, le=10)
    drop_beyond: int | None = Field(6, ge=0)
    trust_from: float = 0.0
    min_confidence: float | None = None


class ClipsConfig(Section):
    """How recordings are cut to clips. All clips have 25 frames per second and 16 kHz
    mono audio. The defaults are the paper run's.

    Attributes:
        size: Side of the aligned square in pixels, even (LatentSync: 256).
        margin: Room around the face: the square is ``1 + margin`` times as high as the
            face from forehead to chin. At 0.17 (ours) eyes and mouth lie where the
            masks expect them (``core/geometry.py``).
        align: ``smooth``: one similarity transform per frame, smoothed over
            ``smooth_seconds``; ``clip``: one for the whole clip.
        smooth_seconds: Standard deviation of that smoothing. More is steadier, less
            follows quick nods: at 0.15 s the eyes of a lively filmed speaker stay
            within 4 % of the square, at 0.3 s within 7 %.
        detector: ``embedded`` (MediaPipe's and OpenCV's, no downloads), ``blaze``,
            ``haar``, ``insightface`` (must have its pack) or ``auto`` (insightface if
            its pack is there, else embedded).
        pack: Folder with the insightface pack's .onnx files.
        min_seconds: Shorter candidates are dropped.
        max_seconds: Longer shots are split (LatentSync: 5 to 10 s), at a pause of
            speech where there is one in the last 40 %.
        max_gap_seconds: The face may be lost for this long within a clip; its landmarks
            are interpolated.
        cut_threshold: A cut is a jump of this many grey levels (mean over luma) that
            also stands out from the frames before it.
        count_faces_every: Seconds between two looks for other faces.
        crf: x264 quality of the aligned videos.
        keep: Thresholds on the measures.
        sync: Audio-video offset.
    """

    size: int = Field(256, ge=32)
    margin: float = Field(0.17, ge=0.1, le=2.0)
    align: Literal["smooth", "clip"] = "smooth"
    smooth_seconds: float = Field(0.15, gt=0)
    detector: Literal["auto", "embedded", "blaze", "haar", "insightface"] = "auto"
    pack: str | None = None
    min_seconds: float = Field(1.5, gt=0.2)
    max_seconds: float = Field(10.0, gt=0.5)
    max_gap_seconds: float = Field(0.2, ge=0)
    cut_threshold: float = Field(14.0, gt=0)
    count_faces_every: float = Field(1.0, gt=0)
    crf: int = Field(14, ge=0, le=40)
    keep: KeepConfig = KeepConfig()
    sync: SyncConfig = SyncConfig()

    @model_validator(mode="after")
    def _consistent(self) -> "ClipsConfig":
        if self.size % 2:
            raise ValueError("size must be even (4:2:0 video)")
        if self.max_seconds < 2 * self.min_seconds:
            raise ValueError(
                "max_seconds must be at least twice min_seconds, or splitting could leave pieces that are "
                "too short"
            )
        return self


def check(settings: Any) -> None:
    """The network that measures the clips has a fixed name.

    Raises:
        EadbenchError: If it is not in the configuration.
    """
    if "syncnet_evaluator" not in settings.zoo.artefacts:
        raise EadbenchError(
            "`clips check` needs an artefact named 'syncnet_evaluator'",
            "zoo.artefacts.syncnet_evaluator",
            "add it, see config.yaml",
        )
