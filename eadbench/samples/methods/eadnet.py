"""EAD-Net and its ablations."""

import json
from pathlib import Path

import numpy as np
import torch

from eadbench.core.device import pick_device
from eadbench.core.errors import EadbenchError
from eadbench.core.protocols import PROTOCOLS
from eadbench.media.video import iter_frames
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import Raw
from eadbench.samples.methods.trained import TrainedMethod
from eadbench.samples.pipeline import RenderClip, Sampler
from eadbench.samples.run import load_eadnet, load_vae, states_of
from eadbench.samples.text import Texts, Told


class EADNetMethod(TrainedMethod):
    """A run of EAD-Net with its VAE."""

    parts = ("vae",)
    protocols = frozenset(PROTOCOLS)
    emotion_control = "text"

    @property
    def takes_intensity(self) -> bool:
        """Whether the run hears valence, arousal and intensity."""
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
        self._texts = Texts(self._features) if set(run.model.sources) & {"text", "vai"} else None

    def features_of(self, sound: np.ndarray) -> torch.Tensor:
        """Whisper's states, as they are stored."""
        whisper = self.context.parts.get("whisper")
        if whisper is None:
            raise EadbenchError(
                "silence is in no features: Whisper has to hear it",
                "--part",
                "add --part whisper=results/zoo/whisper",
            )
        return states_of(sound, self._sampler.run, whisper, pick_device(self.context.device)).half().cpu()

    def render(self, job: RenderJob, work: Path) -> Raw:
        reference, at, reference_clip = self.reference(job)
        told = self._texts.tell(job, self.options.caption_source) if self._texts else Told(None, None, None)
        clip = RenderClip(
            name=job.clip_id,
            frames=(image for _, image in iter_frames(job.video)),
            count=job.frames,
            reference=reference,
            reference_at=at,
            audio=self.driving(job, "audio"),
            text=told.text,
            vai=told.vai,
        )
        source = told.source if "text" in self._sampler.run.model.sources else None
        return Raw(frames=self._sampler.render(clip), reference_clip=reference_clip, caption_source=source)
