"""Keep or drop: thresholds of the config against a candidate's measures."""

from eadbench.clips.config import ClipsConfig, KeepConfig
from eadbench.core.schemas import ClipsRow
from eadbench.core.tables import DROPPED, KEPT

# (measure, threshold, which side is bad, word that heads the reason)
LIMITS = (
    ("face_size", "min_face_size", "below", "small face"),
    ("detection_rate", "min_detection_rate", "below", "face lost"),
    ("faces", "max_faces", "above", "several faces"),
    ("yaw", "max_yaw", "above", "turned away"),
    ("jitter", "max_jitter", "above", "unsteady"),
    ("sharpness", "min_sharpness", "below", "blurred"),
    ("brightness", "min_brightness", "below", "dark"),
    ("brightness", "max_brightness", "above", "glaring"),
)


def keep_or_drop(clip: ClipsRow, keep: KeepConfig) -> tuple[str, str]:
    """Status and reason of a candidate. All thresholds that it misses are named, each
    as ``word: value < limit``.
    """
    reasons = []
    for measure, key, side, word in LIMITS:
        limit, value = getattr(keep, key), getattr(clip, measure)
        if limit is None or value is None:
            continue
        if (value < limit) if side == "below" else (value > limit):
            reasons.append(f"{word}: {measure} {value:.4g} {'<' if side == 'below' else '>'} {limit:g}")
    return (DROPPED, "; ".join(reasons)) if reasons else (KEPT, "")


def too_short(seconds: float, config: ClipsConfig) -> str:
    """Reason for a candidate that is too short, else empty."""
    return f"short: {seconds:.2f} s < {config.min_seconds:g} s" if seconds < config.min_seconds - 1e-9 else ""
