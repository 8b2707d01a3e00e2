"""Options of the commands that measure videos, and their defaults, which are not those
of a demo's configuration.

Nothing large is imported here, so that a misspelt name is refused at once.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest
from eadbench.core.settings import Settings
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


def config_of(
    settings: Settings | None, metrics: str | None, lpips_frames: str | None = None
) -> ScoresConfig:
    """The section ``scores`` of the configuration files, else the command's own.

    That is: every metric but those of large networks, all frames of every clip, but
    ``LPIPS_FRAMES`` of them for LPIPS.

    Args:
        settings: The configuration, where there is one.
        metrics: Names of metrics, comma-separated; ``None`` for the
            default ones.
        lpips_frames: Frames per clip that LPIPS looks at, or ``all``; ``None`` for the
            default.

    Raises:
        EadbenchError: If a metric is unknown, with the nearest name; or the number of
            frames is none.
    """
    if settings is not None and "scores" in settings.raw:
        config = settings.scores
    else:
        config = ScoresConfig.model_validate({"evaluators": EVALUATORS, "lpips_frames": LPIPS_FRAMES})
    if metrics is not None:
        names = names_of(metrics, evaluator_roles(), "metric")
        config = config.model_copy(update={"metrics": with_motion(with_foundations(names))})
    if lpips_frames is not None:
        config = config.model_copy(update={"lpips_frames": frame_count(lpips_frames)})
    return config


def device_of(settings: Settings | None, scores_config: ScoresConfig) -> Any:
    """Where the networks run; formulas need neither one nor torch."""
    from eadbench.core.device import pick_device

    if not scores_config.roles():
        return "cpu"
    return pick_device(settings.device if settings and "device" in settings.raw else "auto")


def seed_of(settings: Settings | None) -> int:
    """The seed of the configuration files, else 1."""
    return settings.seed if settings and "seed" in settings.raw else 1


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


def names_of(text: str, valid_names: Collection[str], what: str) -> tuple[str, ...]:
    """Valid names from a comma-separated list; case, blanks and repetitions do not
    matter.

    Args:
        text: What was given to the option ``--{what}s``.
        valid_names: All names.
        what: What they are names of, e.g. ``metric``.

    Raises:
        EadbenchError: If one is unknown, or there is none.
    """
    listed = [name.strip().lower().replace("-", "_") for name in text.split(",") if name.strip()]
    every = f"known: {', '.join(valid_names)}"
    unknown = [f"{name!r}{nearest(name, valid_names)}" for name in listed if name not in valid_names]
    if unknown:
        raise EadbenchError(f"no {what} is named {' or '.join(unknown)}", f"--{what}s", every)
    if not listed:
        raise EadbenchError(f"no {what} is named", f"--{what}s", every)
    return tuple(dict.fromkeys(listed))


def with_motion(metrics: tuple[str, ...]) -> tuple[str, ...]:
    """Metrics, and the motion energy where the jitter is among them: a still image has
    no jitter either.
    """
    add_motion = any("jitter" in name for name in metrics) and "motion_energy_ratio" not in metrics
    return (*metrics, "motion_energy_ratio") if add_motion else metrics
