"""Names of the metrics and the evaluator that each needs, without the code that measures:
for code that only checks a configuration.
"""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from itertools import chain

# As in eadbench.scores.metrics, which a test compares.
OWN = {
    "fid": "fid",
    "kid": "fid",
    "fvd": "fvd",
    "fvd_fixed": "fvd",
    "ssim": "",
    "psnr": "",
    "lpips": "lpips",
    "sync": "sync",
    "lse_d": "sync",
    "sync_offset": "sync",
    "acc_emo": "emotion",
    "p_emo": "emotion",
    "va_error": "emotion",
    "acc_emo_recall": "emotion",
    "acc_emo_real": "emotion",
    "csim": "face_id",
    "m_lmd": "",
    "f_lmd": "",
    "lips_seq": "",
    "expression_seq": "",
    "pose_seq": "",
    "lpips_seq": "lpips",
    "jitter_ratio": "",
    "motion_energy_ratio": "",
    "sharpness_ratio": "",
    "lip_correlation": "",
    "lip_motion_ratio": "",
    "brow_motion_ratio": "",
    "head_motion_ratio": "",
    "lip_motion": "",
    "brow_motion": "",
    "head_motion": "",
    "jitter": "",
    "silence_mouth_motion": "",
    "open_mouth": "",
    "face_rate": "",
    "csim_slope": "face_id",
    "sharpness_slope": "",
    "sync_slope": "sync",
    "jitter_slope": "",
    "csim_bins": "face_id",
    "sharpness_bins": "",
    "sync_bins": "sync",
    "jitter_bins": "",
    "theval_lips": "",
    "theval_brows": "",
    "theval_head": "",
    "theval_silence": "",
    "theval_sync": "",
    "loudness_correlation": "",
    "theval": "",
    "stable_sync": "sync2",
    "stable_sync_offset": "sync2",
    "cd_fvd": "cdfvd",
    "jedi": "jedi",
    "theval_aesthetics": "aesthetics",
    "theval_mouth": "mouth_quality",
    "theval_face": "face_quality",
}
# Metrics that are measured only when they are named: they need large networks or a
# package of their own, or (lpips_seq) run theirs on every frame of both videos.
ON_REQUEST = frozenset(
    {
        "lpips_seq",
        "stable_sync",
        "stable_sync_offset",
        "cd_fvd",
        "jedi",
        "theval_aesthetics",
        "theval_mouth",
        "theval_face",
    }
)
# Metrics that build on values of others, which are measured with them.
BUILDS_ON = {
    "acc_emo_recall": ("acc_emo",),
    "acc_emo_real": ("acc_emo",),
    "csim_bins": ("csim_slope",),
    "sharpness_bins": ("sharpness_slope",),
    "sync_bins": ("sync_slope",),
    "jitter_bins": ("jitter_slope",),
    "theval": ("theval_lips", "theval_brows", "theval_head", "theval_silence", "theval_sync"),
}


@cache
def evaluator_roles() -> dict[str, str]:
    """Metric -> role of its evaluator (empty for a formula); those of other packages are
    known once their code is loaded.
    """
    if not entry_points(group="eadbench.metrics"):
        return OWN
    from eadbench.scores.metrics import METRICS

    return {name: metric.evaluator for name, metric in METRICS.items()}


def default_names() -> tuple[str, ...]:
    """Metrics that are measured when none is named."""
    return tuple(name for name in evaluator_roles() if name not in ON_REQUEST)


def with_foundations(names: Iterable[str]) -> tuple[str, ...]:
    """Metrics, each once, and those whose values they build on."""
    with_sources = [(*BUILDS_ON.get(name, ()), name) for name in names]
    return tuple(dict.fromkeys(chain.from_iterable(with_sources)))
