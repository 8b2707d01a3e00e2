"""Every metric in one place: what it is, which way is better, what it needs. Tables and reports import this."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down", "none"]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Name in the tables.
        label: Name in print.
        direction: ``up`` when higher is better, ``down`` when lower is, ``none`` for a description.
        meaning: One sentence, with unit and range.
        kind: ``clip`` (one value per clip, the summary is their mean), ``set`` (of all clips together).
        judge: Role of the network that measures (key of ``scores.judges``); empty for a formula.
        paired: Compares with the clip's own video frame by frame, hence only for protocol ``self``.
        ideal: Value of a perfect method where neither up nor down is better, e.g. 1 for a ratio.
        landmarks: Needs the face mesh.
    """

    name: str
    label: str
    direction: Direction
    meaning: str
    kind: Literal["clip", "set"] = "clip"
    judge: str = ""
    paired: bool = False
    ideal: float | None = None
    landmarks: bool = False


_ALL = (
    Metric("fid", "FID", "down", "Fréchet distance of Inception features of frames", "set", "fid"),
    Metric("kid", "KID", "down", "unbiased squared MMD of the same features, cubic kernel", "set", "fid"),
    Metric("fvd", "FVD", "down", "Fréchet distance of I3D features of 16-frame windows", "set", "fvd"),
    Metric("fvd_fixed", "FVD at fixed n", "down", "mean FVD over draws of the same number of windows in every cell", "set", "fvd"),
    Metric("ssim", "SSIM", "up", "structural similarity to the clip, mean over frames, -1..1", paired=True),
    Metric("psnr", "PSNR", "up", "peak signal-to-noise ratio to the clip in dB, mean over frames, capped at 100", paired=True),
    Metric("lpips", "LPIPS", "down", "perceptual distance to the clip, mean over frames", judge="lpips", paired=True),
    Metric("sync", "Sync (LSE-C)", "up", "SyncNet confidence: median less minimum of the mean distance over shifts of ±15 frames", judge="sync"),
    Metric("lse_d", "LSE-D", "down", "SyncNet's least mean distance over those shifts", judge="sync"),
    Metric("sync_offset", "AV offset", "none", "shift of that least distance in frames, positive when the audio leads", judge="sync", ideal=0.0),
    Metric("acc_emo", "Acc_emo", "up", "share of clips whose shown emotion the judge names as asked for, 0..1", judge="emotion", landmarks=True),
    Metric("acc_emo_recall", "Recall", "up", "the same among the clips of one emotion (see variant)", "set", "emotion"),
    Metric("acc_emo_real", "Acc_emo of the real clips", "none", "what the judge makes of the ground truth of the same clips", "set", "emotion"),
    Metric("csim", "CSIM", "up", "cosine of identity embeddings to the mean of the clip whose face is shown, -1..1", judge="face_id", landmarks=True),
    Metric("m_lmd", "M-LMD", "down", "distance of lip points to the clip's, centred, pixels of a 256-pixel frame", paired=True, landmarks=True),
    Metric("f_lmd", "F-LMD", "down", "distance of face points to the clip's, centred, pixels of a 256-pixel frame", paired=True, landmarks=True),
    Metric("jitter_ratio", "Jitter ratio", "none", "jitter over the clip's; below 1 is smoother", paired=True, ideal=1.0, landmarks=True),
    Metric("motion_energy_ratio", "Motion energy ratio", "none", "squared frame difference over the clip's; 0 is frozen", paired=True, ideal=1.0),
    Metric("sharpness_ratio", "Sharpness ratio", "none", "variance of the Laplacian over the clip's; below 1 is blurred", paired=True, ideal=1.0),
    Metric("lip_correlation", "Lip correlation", "up", "correlation of mouth opening over time with the clip's, -1..1", paired=True, landmarks=True),
    Metric("lip_motion_ratio", "Lip dynamics ratio", "none", "spread of mouth opening over the clip's", paired=True, ideal=1.0, landmarks=True),
    Metric("brow_motion_ratio", "Brow motion ratio", "none", "spread of brow height over the clip's", paired=True, ideal=1.0, landmarks=True),
    Metric("head_motion_ratio", "Head motion ratio", "none", "spread of the head's place over the clip's", paired=True, ideal=1.0, landmarks=True),
    Metric("lip_motion", "Lip dynamics", "none", "standard deviation of mouth opening over time, in per cent of eye distance", landmarks=True),
    Metric("brow_motion", "Brow motion", "none", "standard deviation of brow height over time, in per cent of eye distance", landmarks=True),
    Metric("head_motion", "Head motion", "none", "standard deviation of the head's position over time, in per cent of eye distance", landmarks=True),
    Metric("jitter", "Jitter", "none", "RMS second difference of landmarks over time, in per cent of eye distance", landmarks=True),
    Metric("silence_mouth_motion", "Mouth motion in silence", "down", "lip dynamics while the sound is silent, same unit", landmarks=True),
    Metric("face_rate", "Faces found", "up", "share of frames in which the face mesh finds a face, 0..1", landmarks=True),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
CLIP_METRICS = tuple(m.name for m in _ALL if m.kind == "clip")
