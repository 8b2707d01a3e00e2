"""Section ``scores`` of the config: what is measured, with which evaluators, how the
intervals are computed.
"""

from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest
from eadbench.core.section import ArtefactName, Section
from eadbench.scores.names import default_names, evaluator_roles, with_foundations
from eadbench.zoo.config import Kind

MEASURED = (
    "device",
    "scores",
    "-scores.fvd_fixed_n",
    "-scores.bootstrap",
    "-scores.few_clips",
    "-scores.together",
)
READS = {
    "measure": (*MEASURED, "samples.methods.{method}.drives"),
    "corpus": (*MEASURED, "samples.methods.*.drives"),
    "summarise": (
        "seed",
        "scores.metrics",
        "scores.fvd_protocols",
        "scores.fvd_fixed_n",
        "scores.bootstrap",
        "scores.bin_seconds",
    ),
}
Role = Literal[
    "sync",
    "emotion",
    "fid",
    "fvd",
    "lpips",
    "face_id",
    "sync2",
    "cdfvd",
    "jedi",
    "aesthetics",
    "mouth_quality",
    "face_quality",
]
ROLES = get_args(Role)
# Kinds of artefacts that can measure in a role; others would give numbers that mean
# something else.
KINDS: dict[Role, tuple[Kind, ...]] = {
    "sync": ("syncnet_evaluator",),
    "emotion": ("emotion", "hsemotion"),
    "fid": ("inception",),
    "fvd": ("i3d",),
    "lpips": ("lpips",),
    "face_id": ("face_id",),
    "sync2": ("stable_syncnet",),
    "cdfvd": ("videomae_v2",),
    "jedi": ("vjepa",),
    "aesthetics": ("image_quality",),
    "mouth_quality": ("image_quality",),
    "face_quality": ("image_quality",),
}


FvdProtocol = Literal["stylegan-v", "latentsync"]
FVD_PROTOCOLS: tuple[str, ...] = get_args(FvdProtocol)


class ScoresConfig(Section):
    """What is measured and how.

    Attributes:
        metrics: Names of ``eadbench.scores.metrics.METRICS``; by default all but
            those that need large networks (``names.ON_REQUEST``).
        evaluators: Role -> artefact of the zoo that measures.
        fps: All videos are brought to this rate.
        fid_frames: Frames per clip that FID, KID see, spread evenly; null for all.
        lpips_frames: Frames per clip that LPIPS sees, spread evenly; null for all.
        quality_frames: Frames per clip that THEval's measures of quality see, spread
            evenly; null for all.
        fvd_protocols: ``stylegan-v``: every window, in [-1, 1]. ``latentsync``: frames
            20 to 35, in [0, 1]. Their values do not compare.
        fvd_window: Frames of a window.
        fvd_stride: Frames between the starts of ``stylegan-v``'s windows; equal to the
            window, they do not overlap.
        fvd_fixed_n: Windows on each side of ``fvd_fixed``.
        bootstrap: Replicates of the intervals.
        bin_seconds: Length of the bins of metrics over time; clips of fewer than three
            have none.
        silence_db: Audio this much below the clip's loudest tenth counts as silence.
        few_clips: Below this many clips a value carries a warning.
        together: Whether the workflow measures all cells of a corpus in one process,
            for cells that take less time than its start; it then waits until all
            methods are rendered.
    """

    metrics: tuple[str, ...] = Field(default_factory=default_names, min_length=1)
    evaluators: dict[Role, ArtefactName]
    fps: float = 25.0
    fid_frames: int | None = Field(None, ge=1)
    lpips_frames: int | None = Field(None, ge=1)
    quality_frames: int | None = Field(8, ge=1)
    fvd_protocols: tuple[FvdProtocol, ...] = FVD_PROTOCOLS
    fvd_window: int = Field(16, ge=9)
    fvd_stride: int = Field(16, ge=1)
    fvd_fixed_n: int = Field(64, ge=2)
    bootstrap: int = Field(1000, ge=0)
    bin_seconds: float = Field(5.0, gt=0)
    silence_db: float = Field(30.0, gt=0)
    few_clips: int = Field(30, ge=1)
    together: bool = False

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in evaluator_roles()]
        if unknown:
            suggestions = ", ".join(f"{name}{nearest(name, evaluator_roles())}" for name in unknown)
            raise ValueError(f"unknown metrics {suggestions}; known: {', '.join(evaluator_roles())}")
        return with_foundations(names)

    def roles(self) -> list[str]:
        """Evaluators that the chosen metrics need."""
        needed = {evaluator_roles()[name] for name in self.metrics}
        return [role for role in ROLES if role in needed]

    def artefacts(self) -> list[str]:
        """Artefacts that measure the chosen metrics."""
        return sorted({self.evaluators[role] for role in self.roles() if role in self.evaluators})

    def in_use(self) -> dict[str, Any]:
        return self.__dict__ | {
            "evaluators": {role: name for role, name in self.evaluators.items() if role in self.roles()}
        }

    def trim(self, dump: dict[str, Any]) -> None:
        """Evaluators of metrics that are not chosen."""
        dump["evaluators"] = {role: name for role, name in dump["evaluators"].items() if role in self.roles()}


def check(settings: Any) -> None:
    """Verify that each evaluator is of a kind that can measure in its role.

    Raises:
        EadbenchError: If one is not.
    """
    for role, name in settings.scores.in_use()["evaluators"].items():
        refuse_other_kind(role, name, settings.zoo.artefacts[name].kind, f"scores.evaluators.{role}")


def refuse_other_kind(role: Role, artefact: str, kind: str, where: object) -> None:
    """Refuse an artefact whose kind cannot measure in a role.

    Args:
        role: E.g. ``face_id``.
        artefact: Its name.
        kind: Its kind.
        where: Key or file that names it.

    Raises:
        EadbenchError: If it cannot.
    """
    if kind not in KINDS[role]:
        raise EadbenchError(
            f"artefact {artefact!r} is of kind {kind}, which cannot measure {role}",
            where,
            f"give one of kind {' or '.join(KINDS[role])}",
        )


def check_metric(key: str, config: ScoresConfig, where: str) -> None:
    """Verify that a metric exists, and the variant that is named with it.

    Args:
        key: ``name`` or ``name@variant``.
        config: Section ``scores``, which says the variants of FVD.
        where: Place in the configuration that names it.

    Raises:
        EadbenchError: If not; with the nearest name.
    """
    name, _, variant = key.partition("@")
    if name not in evaluator_roles():
        raise EadbenchError(
            f"no metric is named {key!r}{nearest(key, evaluator_roles())}",
            where,
            f"known: {', '.join(evaluator_roles())}",
        )
    if variant and name in ("fvd", "fvd_fixed") and variant not in config.fvd_protocols:
        raise EadbenchError(
            f"{name} is not measured as {variant!r}{nearest(variant, config.fvd_protocols)}",
            where,
            f"scores.fvd_protocols has: {', '.join(config.fvd_protocols)}",
        )
