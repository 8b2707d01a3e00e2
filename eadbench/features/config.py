"""Section ``features`` of the config: what is computed once per clip and stored."""

from typing import Any

from pydantic import Field

from eadbench.core.errors import EadbenchError
from eadbench.core.masks import MaskKind
from eadbench.core.section import Section

READS = {"extract": ("device", "features"), "text": ("device",)}
ARTEFACTS = {"extract": ("vae", "whisper"), "text": ("text_encoder",)}


class FeaturesConfig(Section):
    """What ``features`` stores.

    Attributes:
        size: Side in pixels of the frames that the models see; a multiple of the VAE's
            reduction (8 for Stable Diffusion's); LatentSync: 256.
        mask: What the model must paint: ``mouth``, ``lower_face`` (eyes stay as they
            are) or ``face`` (eyes and brows too, so that the emotion can change; ours).
        whisper_padding: Pad audio to Whisper's 30 s, as it was trained (official
            weights). ``false`` cuts the positional embedding to the clip instead, much
            cheaper for short clips and right for an encoder that was trained so (ours).
        whisper_overlap: Seconds by which the 30 s windows of longer audio overlap;
            states are cross-faded there, so that there is no seam.
        frames_per_batch: Frames per pass of the VAE, which takes 0.2 GB for each at 256
            pixels in float32.
    """

    size: int = Field(256, gt=0)
    mask: MaskKind = "face"
    whisper_padding: bool = True
    whisper_overlap: float = Field(5.0, gt=0, lt=30)
    frames_per_batch: int = Field(16, gt=0)


def check(settings: Any) -> None:
    """The artefacts that features are made with have fixed names.

    Raises:
        EadbenchError: If one is not in the configuration.
    """
    for verb, names in ARTEFACTS.items():
        for name in names:
            if name not in settings.zoo.artefacts:
                raise EadbenchError(
                    f"`features {verb}` needs an artefact named {name!r}",
                    f"zoo.artefacts.{name}",
                    "add it, see config.yaml",
                )
