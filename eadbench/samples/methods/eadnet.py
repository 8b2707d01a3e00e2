"""EAD-Net and its ablations, and their emotion input."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from eadbench.captions.wording import label_text
from eadbench.core.device import pick_device
from eadbench.core.emotions import valence_arousal_intensity
from eadbench.core.errors import EadbenchError
from eadbench.core.protocols import PROTOCOLS
from eadbench.features.store import FeatureStore
from eadbench.features.text import TextStore
from eadbench.media.video import iter_frames
from eadbench.samples.config import CaptionSource
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import RawResult
from eadbench.samples.methods.trained import TrainedMethod
from eadbench.samples.pipeline import RenderClip, Sampler
from eadbench.samples.run import load_eadnet, load_vae, states_of


@dataclass(frozen=True)
class EmotionInput:
    """A model's input of the emotion: T5 states ``(N, D)``, valence-arousal-intensity,
    and where the text is from; null: none.
    """

    text: torch.Tensor | None
    vai: tuple[float, float, float] | None
    source: str | None


class EmotionTexts:
    """Encoded captions and label descriptions of a corpus.

    Args:
        store: Its features.
    """

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self.table = TextStore(Path(store.indexes[0]).parent / "text.parquet")

    def emotion_input(self, job: RenderJob, source: CaptionSource) -> EmotionInput:
        """The emotion input for a job.

        Captions of clips fall back to ``label`` where there is no such clip or it has
        no caption; without a label there is no input. ``source`` of the result says
        which text was used.
        """
        labelled = job.emotion is not None
        vai = None
        if labelled:
            intensity = 1.0 if job.intensity is None else job.intensity
            vai = valence_arousal_intensity(job.emotion, intensity)
        caption_clip = {
            "target": job.emotion_clip,
            "other_clip": job.caption_clip,
            "same_speaker": job.speaker_clip,
            "label": None,
        }[source]
        text = self._of_clip(caption_clip) if caption_clip else None
        if text is not None:
            return EmotionInput(text, vai, source)
        if not labelled:
            return EmotionInput(None, None, None)
        return EmotionInput(self.table.of_text(label_text(job.emotion, job.intensity)), vai, "label")

    def _of_clip(self, clip_id: str) -> torch.Tensor | None:
        row = self.store.find(clip_id)
        return self.store.text(row) if row else None


class EADNetMethod(TrainedMethod):
    """A run of EAD-Net with its VAE."""

    parts = ("vae",)
    protocols = frozenset(PROTOCOLS)
    emotion_control = "text"

    @property
    def takes_intensity(self) -> bool:
        """Whether the run reads valence, arousal and intensity."""
        facts = json.loads((self.context.run / "config.json").read_text(encoding="utf-8"))
        return "vai" in facts["model"]["emotion"]

    def prepare(self, jobs: list[RenderJob]) -> None:
        run = load_eadnet(self.context.run)
        config = self.context.samples.sampler_of(self.name)
        device = pick_device(self.context.device)
        self._sampler = Sampler(
            run, load_vae(self.context.parts["vae"], run).to(device), config, device, self.context.seed
        )
        self._features = self.store()
        self._texts = EmotionTexts(self._features) if set(run.model.sources) & {"text", "vai"} else None

    def features_of(self, audio: np.ndarray) -> torch.Tensor:
        """Whisper's states, as in the stored features."""
        whisper = self.context.parts.get("whisper")
        if whisper is None:
            raise EadbenchError(
                "silence is in no features: Whisper has to encode it",
                "--part",
                "add --part whisper=results/zoo/whisper",
            )
        return states_of(audio, self._sampler.run, whisper, pick_device(self.context.device)).half().cpu()

    def render(self, job: RenderJob, work: Path) -> RawResult:
        reference, start_frame, reference_clip = self.reference(job)
        emotion = EmotionInput(None, None, None)
        if self._texts:
            emotion = self._texts.emotion_input(job, self.options.caption_source)
        clip = RenderClip(
            name=job.clip_id,
            frames=(image for _, image in iter_frames(job.video)),
            count=job.frames,
            reference=reference,
            reference_at=start_frame,
            audio=self.driving_features(job, "audio"),
            text=emotion.text,
            vai=emotion.vai,
        )
        source = emotion.source if "text" in self._sampler.run.model.sources else None
        return RawResult(
            frames=self._sampler.render(clip), reference_clip=reference_clip, caption_source=source
        )
