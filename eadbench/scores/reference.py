"""What is learnt of a clip's own video alone, found once and used again for every
method and by the next run.

The cell that computes it first, as the ground truth's does, keeps it among its features,
with the sha256 of the video and the signature of what computed it; whoever looks for it
asks by these, not by names.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.media.faces import TRACKING
from eadbench.scores.config import ScoresConfig
from eadbench.scores.evaluators import MESH, Evaluators
from eadbench.scores.store import FEATURES, META, Features

if TYPE_CHECKING:
    from eadbench.scores.clip import ClipPair
    from eadbench.scores.task import ScoreTask

log = logging.getLogger(__name__)
# of these the first values serve a shorter stretch, too
PER_FRAME = ("landmarks", "sharpness", "motion_energy")
FORMULAS = 1  # counted up when sharpness or motion energy are computed otherwise


def signature_of_landmarks() -> list[Any]:
    """What landmarks depend on beside the frames."""
    return [MESH, version("mediapipe"), TRACKING]


def signatures(task: "ScoreTask", config: ScoresConfig, evaluators: Evaluators) -> dict[str, str]:
    """By kind, what a value depends on beside the video and the number of its frames."""
    common = [config.fps, task.crop]
    found = {"landmarks": signature_of_landmarks(), "sharpness": [FORMULAS], "motion_energy": [FORMULAS]}
    if "face_id" in evaluators.signatures:
        signature = evaluators.signatures["face_id"]
        found["face_id_mean"] = [
            signature.extractor,
            signature.weights_sha256,
            evaluators.nets["face_id"].frames,
            *found["landmarks"],
        ]
    return {kind: json.dumps([*common, *what]) for kind, what in found.items()}


@dataclass
class Reference:
    """What is known of one clip's own video.

    Attributes:
        frames: Number of its frames that count, if known.
        known: Values by kind.
        marks: Gives its landmarks from one number of frame to another, if known.
        still: Whether it is a picture that stands still, where the landmarks are known.
        signatures: Of what is computed now.
    """

    frames: int | None = None
    known: dict[str, np.ndarray] = field(default_factory=dict)
    marks: Callable[[int, int], np.ndarray] | None = None
    still: bool = False
    signatures: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, list[float]] = field(default_factory=dict)

    def per_frame(self, kind: str, number: int, of: Callable[[], float]) -> float:
        """The value of a frame: known, or computed now and kept."""
        if kind in self.known and number < len(self.known[kind]):
            return float(self.known[kind][number])
        value = of()
        self.fresh.setdefault(kind, []).append(value)
        return value

    def whole(self, kind: str) -> np.ndarray | None:
        """A value of the whole video, if known."""
        return self.known.get(kind)

    def learnt(self, clip: "ClipPair") -> dict[str, Any]:
        """What a clip's own video told while it was read, as the video that was judged
        or beside it: ``facts`` that JSON can hold and ``tensors``; nothing if all was
        known before.
        """
        side = "fake" if clip.same else "real"
        frames, marks = clip.counts[side], clip.marks[side]
        tensors = {
            kind: np.float64(values)
            for kind, values in self.fresh.items()
            if len(values) == frames - (kind == "motion_energy")
        }
        if marks.tracker is not None and marks.frames == frames:
            tensors["landmarks"] = marks.all()
        mean = clip.identity_of_real()
        if mean is not None and "face_id_mean" not in self.known:
            tensors["face_id_mean"] = mean
        if not frames or not tensors:
            return {}
        facts = {
            "clip": clip.task.clip_id,
            "frames": frames,
            "whole": clip.task.frames is None or frames < clip.task.frames,
            "still": marks.still,
            "signatures": {kind: self.signatures[kind] for kind in tensors},
        }
        return {"facts": facts, "tensors": tensors}


class References:
    """What measured cells know of reference videos.

    Args:
        folders: Folders of cells; one without features, or with damaged ones, knows
            nothing.
    """

    def __init__(self, folders: list[Path]) -> None:
        self._cells: list[tuple[dict[str, Any], Features]] = []
        for folder in folders:
            try:
                known = json.loads((folder / META).read_text())["references"]
                self._cells.append((known, Features(folder / FEATURES)))
            except (OSError, ValueError, KeyError):
                continue
            except EadbenchError as error:
                log.warning("references of %s are not used: %s", folder, error.what)

    def of(self, content: str, task: "ScoreTask", config: ScoresConfig, evaluators: Evaluators) -> Reference:
        """What is known of a video of that content, as it would be computed now."""
        reference = Reference(signatures=signatures(task, config, evaluators))
        for known, features in self._cells:
            facts = known.get(content) if content else None
            if facts is None or not (facts["whole"] or (task.frames and task.frames <= facts["frames"])):
                continue
            reference.frames = min(facts["frames"], task.frames or facts["frames"])
            for kind, signature in reference.signatures.items():
                if facts["signatures"].get(kind) == signature:
                    self._take(reference, kind, facts, features)
        return reference

    def _take(self, reference: Reference, kind: str, facts: dict[str, Any], features: Features) -> None:
        clip = facts["clip"]
        if kind == "landmarks":
            reference.marks = lambda first, last: features.stretch(kind, clip, first, last)
            reference.still = facts["still"]
        elif kind in PER_FRAME or facts["frames"] == reference.frames:
            found = features.get(kind, clip)
            if found is not None:
                reference.known[kind] = found
