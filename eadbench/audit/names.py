"""Names of the distortions, without the code that applies them: for code that only checks
a configuration.
"""

from typing import Literal, get_args

# As in eadbench.audit.distortions, which a test compares.
DistortionName = Literal[
    "h264",
    "h265",
    "aac",
    "audio_early",
    "audio_late",
    "silence",
    "blur",
    "noise",
    "brightness",
    "colour",
    "scale",
    "shift",
    "jitter",
    "freeze",
    "drop",
    "double",
    "mouth_frozen",
    "mouth_other_moment",
    "other_speaker",
    "other_emotion",
]
DISTORTIONS: tuple[str, ...] = get_args(DistortionName)
AUDIO = ("aac", "audio_early", "audio_late", "silence")  # those that leave every frame as it is
