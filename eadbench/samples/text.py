"""Which words a model is told, and their encoding."""

from dataclasses import dataclass
from pathlib import Path

import torch

from eadbench.captions.wording import label_text
from eadbench.core.emotions import valence_arousal_intensity
from eadbench.features.store import FeatureStore
from eadbench.features.text import TextStore
from eadbench.samples.config import CaptionSource
from eadbench.samples.manifest import RenderJob


@dataclass(frozen=True)
class Told:
    """What a model is told of the emotion: T5 states ``(N, D)``,
    valence-arousal-intensity, and where the text is from; null: nothing.
    """

    text: torch.Tensor | None
    vai: tuple[float, float, float] | None
    source: str | None


class Texts:
    """Encoded captions and label descriptions of a corpus.

    Args:
        store: Its features.
    """

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self.table = TextStore(Path(store.indexes[0]).parent / "text.parquet")

    def tell(self, job: RenderJob, source: CaptionSource) -> Told:
        """What a job's model is told.

        The captions of clips fall back to ``label`` where there is no such clip or its
        caption was lost; without a label nothing is told. The result says what was
        used.
        """
        labelled = job.emotion is not None
        vai = (
            valence_arousal_intensity(job.emotion, 1.0 if job.intensity is None else job.intensity)
            if labelled
            else None
        )
        clip = {
            "target": job.emotion_clip,
            "other_clip": job.caption_clip,
            "same_speaker": job.speaker_clip,
            "label": None,
        }[source]
        text = self._of_clip(clip) if clip else None
        if text is not None:
            return Told(text, vai, source)
        if not labelled:
            return Told(None, None, None)
        return Told(self.table.of_text(label_text(job.emotion, job.intensity)), vai, "label")

    def _of_clip(self, clip_id: str) -> torch.Tensor | None:
        row = next((row for row in self.store.clips if row.clip_id == clip_id), None)
        return self.store.text(row) if row else None
