"""EAD-Net and its ablations."""

from pathlib import Path

from eadbench.core.device import pick_device
from eadbench.media.video import iter_frames
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import Raw
from eadbench.samples.methods.trained import TrainedMethod
from eadbench.samples.pipeline import RenderClip, Sampler
from eadbench.samples.run import load_eadnet, load_vae
from eadbench.samples.text import Texts, Told


class EADNetMethod(TrainedMethod):
    """A run of EAD-Net with its VAE."""

    parts = ("vae",)
    emotion_control = "text"

    def prepare(self, jobs: list[RenderJob]) -> None:
        run = load_eadnet(self.context.run)
        config = self.context.samples.sampler_of(self.name)
        device = pick_device(self.context.device)
        self._sampler = Sampler(
            run, load_vae(self.context.parts["vae"], run).to(device), config, device, self.context.seed
        )
        self._features = self.store()
        self._texts = Texts(self._features) if set(run.model.sources) & {"text", "vai"} else None

    def render(self, job: RenderJob, work: Path) -> Raw:
        reference, at, reference_clip = self.reference(job)
        told = self._texts.tell(job, self.options.caption_source) if self._texts else Told(None, None, None)
        clip = RenderClip(
            name=job.clip_id,
            frames=(image for _, image in iter_frames(job.video)),
            count=job.frames,
            reference=reference,
            reference_at=at,
            audio=self._features.get(self._features.row(job.driving_clip, job.corpus), "audio"),
            text=told.text,
            vai=told.vai,
        )
        source = told.source if "text" in self._sampler.run.model.sources else None
        return Raw(frames=self._sampler.render(clip), reference_clip=reference_clip, caption_source=source)
