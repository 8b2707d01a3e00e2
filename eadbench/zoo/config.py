"""Section ``zoo`` of the config: every pretrained part and where it comes from."""

from typing import Any, Literal

from pydantic import Field, model_validator

from eadbench.core.section import SHAPES_NOTHING, ArtefactName, CorpusName, Requires, Section
from eadbench.zoo.card import Dtype, How

# Kinds whose networks can be loaded in half precision, since they are folders of
# transformers. The VAE is not among them: its latents are what the denoiser learns, and
# features and samples must have the same.
HALF_PRECISION = ("clap", "clip", "sentence", "text_encoder", "videomae")
READS = {"make": ("seed", "zoo.artefacts.{artefact}", "zoo.accept_licence", "zoo.cache")}

# Modules of `zoo.kinds`, each of which can load an artefact.
Kind = Literal[
    "clap",
    "clip",
    "emotion",
    "face_id",
    "hsemotion",
    "i3d",
    "image_quality",
    "inception",
    "lpips",
    "qwen_vl",
    "sd_unet",
    "sentence",
    "stable_syncnet",
    "syncnet_evaluator",
    "text_encoder",
    "vae",
    "videomae",
    "videomae_v2",
    "vjepa",
    "whisper",
]


class ArtefactConfig(Section):
    """One artefact.

    Attributes:
        kind: Loader, a module of ``eadbench.zoo.kinds``.
        how: ``fetched`` (named in the registry), ``trained`` on the training split, or
            ``random`` features of a fixed seed.
        id: Id in the registry; needed when fetched.
        dtype: Floating-point type in which the network computes; its files may hold
            another. Other than ``float32`` for the kinds that are folders of
            transformers: ``clap``, ``clip``, ``sentence``, ``text_encoder``,
            ``videomae``.
        options: Sizes, steps and the like of a trained or random one; each kind
            documents its own.
        needs: Artefacts that its training uses.
        uses_clips: Whether its training looks at the clips.
        uses_captions: Whether its training reads the written captions.
    """

    kind: Kind
    how: How
    id: str | None = None
    dtype: Dtype = "float32"
    options: dict[str, Any] = {}
    needs: list[ArtefactName] = []
    uses_clips: bool = True
    uses_captions: bool = False

    @model_validator(mode="after")
    def _fetched_has_id(self) -> "ArtefactConfig":
        if self.how == "fetched" and not self.id:
            raise ValueError("a fetched artefact needs `id`, a name from `eadbench zoo list`")
        return self

    @model_validator(mode="after")
    def _half_precision_where_it_can_be(self) -> "ArtefactConfig":
        if self.dtype != "float32" and self.kind not in HALF_PRECISION:
            raise ValueError(
                f"kind {self.kind} computes in float32; another `dtype` is for {', '.join(HALF_PRECISION)}"
            )
        return self

    def unused_scalars(self) -> tuple[str, ...]:
        return ("seed",) if self.how == "fetched" else ()

    def trim(self, dump: dict[str, Any]) -> None:
        # they say which inputs there are, and a job depends on its inputs in any case
        for key in ("uses_clips", "uses_captions", "needs"):
            dump.pop(key, None)


class ZooConfig(Section):
    """Pretrained, trained and random networks.

    Attributes:
        artefacts: By name.
        train_on: Corpora whose training clips train those that are trained here.
        accept_licence: Ids of published weights whose licence you have read and accept,
            or `all`; without it they are not fetched.
        cache: Folder of fetched weights; null for the user's cache folder.
    """

    artefacts: dict[str, ArtefactConfig]
    train_on: list[CorpusName] = Field(default_factory=list)
    accept_licence: list[str] = Field([], json_schema_extra=SHAPES_NOTHING)
    cache: str | None = Field(None, json_schema_extra=SHAPES_NOTHING)

    def requires(self, name: str) -> Requires:
        """What an artefact is made of: clips and captions of the training corpora,
        other artefacts; a download or a random one of nothing.
        """
        artefact = self.artefacts[name]
        trained = artefact.how == "trained"
        return Requires(
            artefacts=tuple(artefact.needs),
            clips=tuple(self.train_on) if trained and artefact.uses_clips else (),
            captions=tuple(self.train_on) if trained and artefact.uses_captions else (),
        )
