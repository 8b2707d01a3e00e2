"""Controls: videos for which the right scores are known."""

from itertools import repeat
from pathlib import Path

from eadbench.core.errors import EadbenchError
from eadbench.media.video import read_frames
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import Alignment, Method, RawResult


class GroundTruth(Method):
    """The clip itself, through the codec of all results unless ``reencode: false``."""

    protocols = frozenset({"self"})

    def render(self, job: RenderJob, work: Path) -> RawResult:
        return RawResult(file=job.video, verbatim=not self.options.reencode, reference_clip=job.clip_id)


class ShuffledAudio(Method):
    """The clip itself with the audio of other words."""

    protocols = frozenset({"self"})

    def render(self, job: RenderJob, work: Path) -> RawResult:
        if job.other_audio is None:
            raise EadbenchError("no other clip with other words", job.clip_id)
        return RawResult(
            file=job.video, audio=job.other_audio, driving_clip=job.other_clip, reference_clip=job.clip_id
        )


class CopiedInput(Method):
    """The input copied: another clip of the speaker in ``self`` (the reference), the
    driven clip otherwise.
    """

    def render(self, job: RenderJob, work: Path) -> RawResult:
        if job.protocol != "self":
            return RawResult(file=job.video, reference_clip=job.clip_id)
        if job.reference_clip == job.clip_id:
            raise EadbenchError("no other clip of this speaker to copy", job.clip_id)
        return RawResult(
            file=job.reference_video,
            reference_clip=job.reference_clip,
            alignment=Alignment(missing=job.frames),
        )


class Still(Method):
    """The first frame of the reference, repeated."""

    def render(self, job: RenderJob, work: Path) -> RawResult:
        (image,) = read_frames(job.reference_video, limit=1)
        return RawResult(frames=repeat(image, job.frames), reference_clip=job.reference_clip)
