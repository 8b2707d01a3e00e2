"""What all methods that are runs of this workflow share."""

from pathlib import Path

import numpy as np
import torch

from eadbench.core.errors import EadbenchError, workflow_command
from eadbench.features.store import FeatureStore
from eadbench.media.video import read_frames
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import Method, MissingItem
from eadbench.training.card import hash_of_run


class TrainedMethod(Method):
    """A method with ``run`` and ``reference`` in its options."""

    parts: tuple[str, ...] = ()
    _features: FeatureStore

    @property
    def hash(self) -> str:
        return hash_of_run(self.context.run)

    def reads(self) -> list[Path]:
        parts = self.context.parts
        cards = [parts[name] / "card.json" for name in (*self.parts, "whisper") if name in parts]
        features = self.context.features
        return cards + ([features, features.parent / "text.safetensors"] if features else [])

    def needs(self) -> list[str]:
        return [f"run {self.options.run}", *(f"artefact {part}" for part in self.parts)]

    def missing_items(self) -> list[MissingItem]:
        run = self.context.run or Path("results/training") / self.options.run
        missing = []
        if not (run / "card.json").exists():
            missing.append(MissingItem("run is not trained", str(run), workflow_command(run / "card.json")))
        for part in self.parts:
            folder = self.context.parts.get(part)
            if folder is None or not (folder / "card.json").exists():
                where = folder or run.parents[1] / "zoo" / part
                how = f"--part {part}=FOLDER, or {workflow_command(where / 'card.json')}"
                missing.append(MissingItem("artefact is missing", str(where), how))
        return missing

    def store(self) -> FeatureStore:
        """The features of the corpus.

        Raises:
            EadbenchError: If none were given.
        """
        if self.context.features is None:
            raise EadbenchError(
                "a trained method needs the features of the corpus",
                "--features",
                "add --features results/features/C/index.parquet",
            )
        return FeatureStore([self.context.features])

    def driving_features(self, job: RenderJob, kind: str) -> torch.Tensor:
        """Audio features for the network, one of ``features.store.KINDS``: stored with
        the driving clip, or computed where silence drives.
        """
        if job.driving_clip is None:
            return self.features_of(job.driving_audio())
        store = self._features
        return store.get(store.row(job.driving_clip, job.corpus), kind)

    def features_of(self, audio: np.ndarray) -> torch.Tensor:
        """The same for any audio ``(N,)`` at 16 kHz."""
        raise NotImplementedError

    def reference(self, job: RenderJob) -> tuple[np.ndarray, int, str]:
        """Frames that show the identity, the index of the one that belongs to the first
        frame of the result, and the clip that they are of.
        """
        choice = self.options.reference
        if choice == "other_clip" and job.reference_clip != job.clip_id:
            return read_frames(job.reference_video), 0, job.reference_clip
        frames = read_frames(job.video, limit=1 if choice == "first_frame" else None)
        start_frame = 0 if choice in ("current", "first_frame") else len(frames) // 2
        return frames, start_frame, job.clip_id
