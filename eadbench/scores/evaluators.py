"""The networks that measure, by role, and the metric signature of each."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from eadbench import zoo
from eadbench.core import seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import write_text
from eadbench.core.settings import shaping_for
from eadbench.scores.config import ScoresConfig, refuse_other_kind
from eadbench.scores.metrics import METRICS
from eadbench.zoo.card import Card, read_card

MESH = "mediapipe-face-mesh"


@dataclass(frozen=True)
class MetricSignature:
    """What measured: the extractor's id, the sha256 of its weights, the side of the
    frames as it sees them, how it came to be (fetched, trained, random), its variant and
    classes.
    """

    extractor: str
    weights_sha256: str = ""
    resolution: int | None = None
    how: str = ""
    variant: str = ""
    classes: tuple[str, ...] = ()


@dataclass
class Evaluators:
    """Loaded networks and their signatures by role."""

    nets: dict[str, Any] = field(default_factory=dict)
    signatures: dict[str, MetricSignature] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def signature(self, metric: str, size: int | None = None) -> MetricSignature:
        """The signature of a metric; ``size`` is the side of the frames for those
        without a network, and for networks that take any.
        """
        metric_class = METRICS[metric]
        role = metric_class.evaluator
        if role in self.missing:
            return MetricSignature(f"no evaluator for {role}")
        if role:
            signature = self.signatures[role]
            return signature if signature.resolution is not None else replace(signature, resolution=size)
        return MetricSignature(MESH if metric_class.landmarks else f"eadbench-{metric}", resolution=size)


def load_evaluators(
    config: ScoresConfig, parts: dict[str, Path], device: Any, allow_missing: bool = False
) -> Evaluators:
    """Load what the chosen metrics need.

    Args:
        config: Names the artefacts.
        parts: Artefact -> folder.
        device: Where they run.
        allow_missing: Whether an absent artefact leaves its metrics unmeasured, with the
            reason, instead of ending the work.

    Raises:
        EadbenchError: If an evaluator is not named, not given, not there or of a kind
            that does not measure this.
    """
    evaluators = Evaluators()
    for role in config.roles():
        name = config.evaluators.get(role)
        if name is None:
            raise EadbenchError(
                f"no evaluator for {role!r}",
                f"scores: evaluators: {role}",
                "name an artefact of the zoo, or take its metrics off `scores: metrics:`",
            )
        if name not in parts:
            raise EadbenchError(
                f"artefact {name!r} was not given",
                f"--part {name}=FOLDER",
                "give its folder, e.g. results/zoo/" + name,
            )
        try:
            card = read_card(parts[name])
            refuse_other_kind(role, card.artefact, card.kind, Path(parts[name]) / "card.json")
            evaluators.nets[role] = zoo.load(parts[name], device)
        except EadbenchError as error:
            if not allow_missing:
                raise
            evaluators.missing[role] = f"{error.what} ({error.where})"
            continue
        evaluators.signatures[role] = _signature(role, evaluators.nets[role], read_card(parts[name]), config)
    return evaluators


class LazyNetworks(dict):
    """Networks by role, each loaded at its first use."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        super().__init__()
        self._load = load

    def __missing__(self, role: str) -> Any:
        self[role] = self._load(role)
        return self[role]


def write_signatures(path: Path, evaluators: Evaluators, config: ScoresConfig) -> None:
    """Record the signatures of loaded networks, so that a process that runs none of them
    need not load them. The folder is the record's own.
    """
    signatures = {role: asdict(signature) for role, signature in evaluators.signatures.items()}
    record = {"settings": shaping_for("scores measure", config), "signatures": signatures}
    write_text(path, json.dumps(record, indent=1, sort_keys=True) + "\n")
    seals.seal_files(path.parent, [path], path)


def lazy_evaluators(
    path: Path, config: ScoresConfig, parts: dict[str, Path], device: str
) -> Evaluators | None:
    """The networks that :func:`write_signatures` recorded, each loaded at its first use;
    ``None`` if the settings or a network are others now.

    Args:
        path: The record.
        config: Names the artefacts.
        parts: Artefact -> folder.
        device: Where they run, as the settings name it.

    Raises:
        EadbenchError: If a network is not there.
        FatalError: If the record was changed.
    """
    seals.check(path)
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["settings"] != json.loads(json.dumps(shaping_for("scores measure", config))):
        return None
    signatures = {}
    for role, facts in record["signatures"].items():
        folder = parts.get(config.evaluators[role])
        if not folder:
            return None
        card = read_card(folder)
        recorded = (facts["extractor"], facts["weights_sha256"], facts["how"])
        if (card.id, card.sha256, card.how) != recorded:
            return None
        signatures[role] = MetricSignature(**facts | {"classes": tuple(facts["classes"])})

    def load(role: str) -> Any:
        from eadbench.core.device import pick_device

        return zoo.load(parts[config.evaluators[role]], pick_device(device))

    return Evaluators(LazyNetworks(load), signatures)


def _signature(role: str, net: Any, card: Card, config: ScoresConfig) -> MetricSignature:
    sampled_frames = {
        "fid": config.fid_frames,
        "lpips": config.lpips_frames,
        **dict.fromkeys(("aesthetics", "mouth_quality", "face_quality"), config.quality_frames),
    }
    frames = sampled_frames.get(role)
    sampled = "" if frames is None else f"{frames} frame{'s' if frames > 1 else ''} per clip"
    return MetricSignature(
        card.id,
        card.sha256,
        getattr(net, "resolution", None),
        card.how,
        variant=getattr(net, "crop", sampled),
        classes=tuple(getattr(net, "classes", ())),
    )
