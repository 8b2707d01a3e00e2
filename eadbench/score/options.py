"""Options of the commands that measure videos, and what they measure when nothing else
is said: their own defaults, not those of a demo's configuration.

Nothing large is imported here, so that a wrong word is refused at once.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from eadbench.core.errors import EadbenchError
from eadbench.core.settings import Settings, nearest
from eadbench.scores.config import ScoresConfig
from eadbench.scores.names import evaluator_roles, with_foundations

# Options that commands which measure videos share.
LabelsOption = Annotated[
    Path | None,
    typer.Option(help="CSV, TSV or Parquet with columns name, emotion, speaker.", show_default=False),
]
PartOption = Annotated[
    list[str] | None,
    typer.Option(
        "--part",
        metavar="NAME=FOLDER",
        help="One evaluator, e.g. syncnet_evaluator=results/zoo/syncnet_evaluator.",
    ),
]
EvaluatorsOption = Annotated[
    str | None,
    typer.Option(
        "--evaluators",
        "--zoo",
        metavar="official|demo|FOLDER",
        show_default=False,
        help="The networks that measure: `official` fetches the published ones, `demo` takes those of "
        "a finished demo, FOLDER those in it. "
        "[default: the published ones, if they are on this machine]",
    ),
]
LicencesOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ID",
        help="Published weights whose licence you accept, or `all`; may be given several times.",
    ),
]
JobsOption = Annotated[
    int, typer.Option(min=1, help="Processes that measure side by side; each loads the networks.")
]

EVALUATORS = {
    "sync": "syncnet_evaluator",
    "emotion": "emotion",
    "fid": "inception",
    "fvd": "i3d",
    "lpips": "lpips",
    "face_id": "face_id",
    "sync2": "stable_syncnet",
    "cdfvd": "videomae_v2",
    "jedi": "vjepa",
    "aesthetics": "topiq_aesthetics",
    "mouth_quality": "musiq",
    "face_quality": "topiq_face",
}

# LPIPS is a mean over frames, which a part of them estimates; all 250 of 10 s at 512 x
# 512 take a core 40 s and more.
LPIPS_FRAMES = 25


def config_of(given: Settings | None, metrics: str | None, lpips_frames: str | None = None) -> ScoresConfig:
    """The section ``scores`` of the configuration that was given, else the command's
    own.

    That is: every metric but those of large networks, all frames of every clip, but
    ``LPIPS_FRAMES`` of them for LPIPS.

    Args:
        given: The configuration, where there is one.
        metrics: Names of the metrics wanted, comma-separated; ``None`` for the
            default ones.
        lpips_frames: Frames per clip that LPIPS looks at, or ``all``; ``None`` for the
            default.

    Raises:
        EadbenchError: If a metric is unknown, with the nearest name; or the number of
            frames is none.
    """
    own = {"evaluators": EVALUATORS, "lpips_frames": LPIPS_FRAMES}
    found = given.scores if given is not None and "scores" in given.raw else ScoresConfig.model_validate(own)
    if metrics is not None:
        found = found.model_copy(
            update={"metrics": with_motion(with_foundations(names_of(metrics, evaluator_roles(), "metric")))}
        )
    if lpips_frames is not None:
        found = found.model_copy(update={"lpips_frames": frame_count(lpips_frames)})
    return found


def device_of(given: Settings | None, wanted: ScoresConfig) -> Any:
    """Where the networks run; formulas need neither one nor torch."""
    from eadbench.core.device import pick_device

    if not wanted.roles():
        return "cpu"
    return pick_device(given.device if given and "device" in given.raw else "auto")


def seed_of(given: Settings | None) -> int:
    """The seed of the configuration that was given, else 1."""
    return given.seed if given and "seed" in given.raw else 1


def frame_count(text: str) -> int | None:
    """``25`` as a number, ``all`` as ``None``.

    Raises:
        EadbenchError: If it is neither ``all`` nor a whole number above 0.
    """
    if text.strip().lower() == "all":
        return None
    if not text.strip().isdecimal() or int(text) < 1:
        raise EadbenchError(
            f"{text!r} is no number of frames", "--lpips-frames", "give a whole number above 0, or all"
        )
    return int(text)


def names_of(text: str, known: Collection[str], what: str) -> tuple[str, ...]:
    """Known names from a list with commas; capitals, blanks and repetitions do not
    matter.

    Args:
        text: What was given to the option ``--{what}s``.
        known: All names.
        what: What they are names of, e.g. ``metric``.

    Raises:
        EadbenchError: If one is unknown, or there is none.
    """
    listed = [name.strip().lower().replace("-", "_") for name in text.split(",") if name.strip()]
    every = f"known: {', '.join(known)}"
    unknown = [f"{name!r}{nearest(name, known)}" for name in listed if name not in known]
    if unknown:
        raise EadbenchError(f"no {what} is named {' or '.join(unknown)}", f"--{what}s", every)
    if not listed:
        raise EadbenchError(f"no {what} is named", f"--{what}s", every)
    return tuple(dict.fromkeys(listed))


def with_motion(metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Metrics, and the motion energy where the jitter is among them: a still picture
    has no jitter either.
    """
    wanted = any("jitter" in name for name in metrics) and "motion_energy_ratio" not in metrics
    return (*metrics, "motion_energy_ratio") if wanted else metrics
