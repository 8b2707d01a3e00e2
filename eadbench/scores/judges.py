"""The networks that measure, by role, and what a table must say of each."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eadbench import zoo
from eadbench.core.errors import EadbenchError
from eadbench.scores.config import ScoresConfig
from eadbench.scores.metrics import METRICS
from eadbench.zoo.card import Card, read_card

MESH = "mediapipe-face-mesh"


@dataclass(frozen=True)
class MetricSignature:
    """What measured: the extractor's id, the sha256 of its weights, the side of the
    frames as it sees them, how it came to be, what else to say.
    """

    extractor: str
    weights_sha256: str = ""
    resolution: int | None = None
    how: str = ""
    variant: str = ""
    classes: tuple[str, ...] = ()


@dataclass
class MetricNetworks:
    """Loaded networks and their signatures by role."""

    nets: dict[str, Any] = field(default_factory=dict)
    signatures: dict[str, MetricSignature] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def signature(self, metric: str, size: int | None = None) -> MetricSignature:
        """The signature of a metric; ``size`` is the side of the frames for those
        without a network, and for networks that take any.
        """
        found = METRICS[metric]
        if found.judge in self.missing:
            return MetricSignature(f"no judge of {found.judge}")
        if found.judge:
            signature = self.signatures[found.judge]
            return signature if signature.resolution is not None else replace(signature, resolution=size)
        return MetricSignature(MESH if found.landmarks else f"eadbench-{metric}", resolution=size)


def load_judges(
    config: ScoresConfig, parts: dict[str, Path], device: Any, may_miss: bool = False
) -> MetricNetworks:
    """Load what the chosen metrics need.

    Args:
        config: Names the artefacts.
        parts: Artefact -> folder.
        device: Where they run.
        may_miss: Whether an absent artefact leaves its metrics unmeasured, with the
            reason, instead of ending the work.

    Raises:
        EadbenchError: If a judge is not named, not handed over or not there.
    """
    judges = MetricNetworks()
    for role in config.roles():
        name = config.judges.get(role)
        if name is None:
            raise EadbenchError(
                f"no judge for {role!r}",
                f"scores: judges: {role}",
                "name an artefact of the zoo, or take its metrics off `scores: metrics:`",
            )
        if name not in parts:
            raise EadbenchError(
                f"artefact {name!r} was not handed over",
                f"--part {name}=FOLDER",
                "give its folder, e.g. results/zoo/" + name,
            )
        try:
            judges.nets[role] = zoo.load(parts[name], device)
        except EadbenchError as error:
            if not may_miss:
                raise
            judges.missing[role] = f"{error.what} ({error.where})"
            continue
        judges.signatures[role] = _signature(role, judges.nets[role], read_card(parts[name]), config)
    return judges


def _signature(role: str, net: Any, card: Card, config: ScoresConfig) -> MetricSignature:
    size = net.options.size if role == "sync" else getattr(net, "resolution", None)
    frames = {"fid": config.fid_frames, "lpips": config.lpips_frames}.get(role)
    sampled = "" if frames is None else f"{frames} frame{'s' if frames > 1 else ''} per clip"
    return MetricSignature(
        card.id,
        card.sha256,
        size,
        card.how,
        variant=net.crop if role == "sync" else sampled,
        classes=tuple(getattr(net, "classes", ())),
    )
