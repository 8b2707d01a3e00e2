"""What depends on a clip's own video alone, computed once and used again for every
method and by the next run.

The cell that computes it first, as the ground truth's does, stores it among its
features, with the sha256 of the video and the signature of what computed it; it is looked
up by these, not by names.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eadbench.core import seals
from eadbench.core.errors import EadbenchError, FatalError
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
    landmarks = signature_of_landmarks()
    dependencies = {"landmarks": landmarks, "sharpness": [FORMULAS], "motion_energy": [FORMULAS]}
    if "face_id" in evaluators.signatures:
        signature = evaluators.signatures["face_id"]
        network = [signature.extractor, signature.weights_sha256, evaluators.nets["face_id"].frames]
        dependencies["face_id_mean"] = [*network, *landmarks]
    return {kind: json.dumps([config.fps, task.crop, *parts]) for kind, parts in dependencies.items()}


@dataclass
class Reference:
    """What is known of one clip's own video.

    Attributes:
        frames: Number of its frames that count, if known.
        stored: Values that an earlier run stored, by kind.
        marks: Gives its stored landmarks from one frame number to another, if there are
            any.
        still: Whether it is a still image, where landmarks are stored.
        signatures: Of what is computed now.
        computed: Values per frame that were computed now, by kind.
    """

    frames: int | None = None
    stored: dict[str, np.ndarray] = field(default_factory=dict)
    marks: Callable[[int, int], np.ndarray] | None = None
    still: bool = False
    signatures: dict[str, str] = field(default_factory=dict)
    computed: dict[str, list[float]] = field(default_factory=dict)

    def per_frame(self, kind: str, number: int, compute: Callable[[], float]) -> float:
        """The value of a frame: stored, or computed now and remembered."""
        if kind in self.stored and number < len(self.stored[kind]):
            return float(self.stored[kind][number])
        value = compute()
        self.computed.setdefault(kind, []).append(value)
        return value

    def whole(self, kind: str) -> np.ndarray | None:
        """A stored value of the whole video, if there is one."""
        return self.stored.get(kind)

    def to_store(self, clip: "ClipPair") -> dict[str, Any]:
        """What was computed of a clip's own video while it was read, as the video to
        evaluate or beside it: ``facts`` that JSON can hold and ``tensors``; nothing if
        all was stored before.
        """
        video = "fake" if clip.same else "real"
        frames, marks = clip.counts[video], clip.marks[video]
        tensors = {}
        for kind, values in self.computed.items():
            expected = frames - 1 if kind == "motion_energy" else frames  # that is of pairs
            if len(values) == expected:
                tensors[kind] = np.float64(values)
        if marks.tracker is not None and marks.frames == frames:
            tensors["landmarks"] = marks.all()
        mean = clip.identity_of_real()
        if mean is not None and "face_id_mean" not in self.stored:
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
    """What measured cells hold of reference videos.

    Args:
        folders: Folders of cells; one without features, or with damaged ones, counts as
            empty.
    """

    def __init__(self, folders: list[Path]) -> None:
        self._cells: list[tuple[dict[str, Any], Features]] = []
        for folder in folders:
            try:
                seals.check(folder / META)
                facts_by_content = json.loads((folder / META).read_text())["references"]
                self._cells.append((facts_by_content, Features(folder / FEATURES)))
            except (OSError, ValueError, KeyError):
                continue
            except (EadbenchError, FatalError) as error:  # all that they hold can be computed anew
                log.warning("references of %s are not used: %s", folder, error.what)

    def of(self, content: str, task: "ScoreTask", config: ScoresConfig, evaluators: Evaluators) -> Reference:
        """What is stored of a video of that content, as it would be computed now."""
        reference = Reference(signatures=signatures(task, config, evaluators))
        for facts_by_content, features in self._cells:
            facts = facts_by_content.get(content) if content else None
            if facts is None:
                continue
            covers_task = facts["whole"] or (task.frames and task.frames <= facts["frames"])
            if not covers_task:
                continue
            reference.frames = min(facts["frames"], task.frames or facts["frames"])
            for kind, signature in reference.signatures.items():
                if facts["signatures"].get(kind) == signature:
                    self._add(reference, kind, facts, features)
        return reference

    def _add(self, reference: Reference, kind: str, facts: dict[str, Any], features: Features) -> None:
        clip = facts["clip"]
        if kind == "landmarks":
            reference.marks = lambda first, last: features.stretch(kind, clip, first, last)
            reference.still = facts["still"]
        elif kind in PER_FRAME or facts["frames"] == reference.frames:
            values = features.get(kind, clip)
            if values is not None:
                reference.stored[kind] = values
