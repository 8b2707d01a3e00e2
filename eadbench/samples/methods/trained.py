"""What methods share that are runs of this workflow."""

from pathlib import Path

import numpy as np
import torch

from eadbench.core.errors import EadbenchError
from eadbench.features.store import FeatureStore
from eadbench.media.video import read_frames
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import Lack, Method
from eadbench.samples.run import hash_of_run


class TrainedMethod(Method):
    """A method with ``run`` and ``reference`` in its options."""

    parts: tuple[str, ...] = ()
    _features: FeatureStore

    @property
    def hash(self) -> str:
        return hash_of_run(self.context.run)

    def reads(self) -> list[Path]:
        cards = [
            self.context.parts[part] / "card.json"
            for part in (*self.parts, "whisper")
            if part in self.context.parts
        ]
        features = self.context.features
        return cards + ([features, features.parent / "text.safetensors"] if features else [])

    def needs(self) -> list[str]:
        return [f"run {self.options.run}", *(f"artefact {part}" for part in self.parts)]

    def lacks(self) -> list[Lack]:
        run = self.context.run or Path("results/training") / self.options.run
        found = []
        if not (run / "card.json").exists():
            found.append(Lack("run is not trained", str(run), f"snakemake {run}/card.json"))
        for part in self.parts:
            folder = self.context.parts.get(part)
            if folder is None or not (folder / "card.json").exists():
                where = folder or run.parents[1] / "zoo" / part
                found.append(
                    Lack(
                        "artefact is missing",
                        str(where),
                        f"--part {part}=FOLDER, or snakemake {where}/card.json",
                    )
                )
        return found

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

    def driving(self, job: RenderJob, kind: str) -> torch.Tensor:
        """What the network hears, one of ``features.store.KINDS``: stored with the
        driving clip, or computed where silence drives.
        """
        if job.driving_clip is None:
            return self.features_of(job.sound())
        store = self._features
        return store.get(store.row(job.driving_clip, job.corpus), kind)

    def features_of(self, sound: np.ndarray) -> torch.Tensor:
        """The same of any sound ``(N,)`` at 16 kHz."""
        raise NotImplementedError

    def reference(self, job: RenderJob) -> tuple[np.ndarray, int, str]:
        """Frames that show the identity, the one of them that belongs to the first
        frame, and the clip that they are of.
        """
        how = self.options.reference
        if how == "other_clip" and job.reference_clip != job.clip_id:
            return read_frames(job.reference_video), 0, job.reference_clip
        frames = read_frames(job.video, limit=1 if how == "first_frame" else None)
        at_start = 0 if how in ("current", "first_frame") else len(frames) // 2
        return frames, at_start, job.clip_id
