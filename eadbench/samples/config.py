"""Section ``samples`` of the config: methods, protocols, and how EAD-Net samples."""

import logging
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import nearest
from eadbench.core.protocols import Protocol, cells_of
from eadbench.core.section import CorpusName, MethodName, Requires, RunName, Section, shaping
from eadbench.samples.templates import placeholders

log = logging.getLogger(__name__)
READS = {
    "make": (
        "seed",
        "device",
        "samples.split",
        "samples.max_clips",
        "samples.max_seconds",
        "samples.crf",
        "samples.preset",
        "samples.methods.{method}",
        "-samples.methods.{method}.drives",  # only the scores read it
    ),
}

Also = Literal["cross", "cross_emotion", "silent", "dial"]  # protocols of `samples.also`
Drives = Literal["video", "image"]
CaptionSource = Literal["target", "label", "other_clip", "same_speaker"]
Reference = Literal["other_clip", "other_stretch", "first_frame", "current"]
Scheduler = Literal["ddim", "dpmsolver++", "unipc", "euler"]


class SamplerConfig(Section):
    """How EAD-Net samples.

    Attributes:
        scheduler: Deterministic diffusers scheduler: ``ddim`` (LatentSync),
            ``dpmsolver++``, ``unipc`` or ``euler``.
        steps: Denoising steps (LatentSync: 20).
        audio_guidance: Guidance scale of the audio; 1 is off (LatentSync: 1.5).
        text_guidance: Guidance scale of the text or of the valence-arousal-intensity
            vector, apart from the audio's; 1 is off (ours).
        temperature: Factor on the noise that sampling starts from. Below 1 it keeps
            closer to the likeliest result (as Kingma & Dhariwal 2018 do with a flow); what
            noise a network cannot take out again shows as blotches of colour
            (LatentSync: 1).
        overlap: Frames that neighbouring windows share; blended in latent space at
            every step (ours).
        chunk: Windows denoised at once. Bounds the memory whatever the length, and is
            part of the result: chunks pass their overlap on, windows in a chunk blend
            both ways.
        feather: Width of the soft edge of the mask, as a share of the frame's side
            (ours).
        colour_match: Shift the generated colours so that they meet the original ones
            around the mask.
        sharpen: Amount of an unsharp mask on the generated part, against the blur of
            the VAE and of enlarging it to the clip's size; 0 for none (LatentSync).
        compile: ``torch.compile`` the network; worth its minutes on a GPU with many
            clips only.
        precision: ``auto`` is bfloat16 on a GPU and float32 on a CPU.
    """

    scheduler: Scheduler = "ddim"
    steps: int = Field(20, ge=1)
    audio_guidance: float = Field(1.5, ge=0)
    text_guidance: float = Field(1.5, ge=0)
    temperature: float = Field(1.0, ge=0, le=1)
    overlap: int = Field(4, ge=0)
    chunk: int = Field(8, ge=1)
    feather: float = Field(0.03, ge=0, le=0.5)
    colour_match: bool = True
    sharpen: float = Field(0.0, ge=0)
    compile: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class BaseMethodConfig(Section):
    """What all methods have.

    Attributes:
        kind: How the method makes its videos.
        corpora: Corpora whose test clips it renders.
        protocols: Driving protocols: ``self`` (own audio), ``cross`` (another clip's
            audio), ``cross_emotion`` (audio and emotion of another clip), ``silent``
            (silence), ``dial`` (own audio, another emotion at rising intensity).
        drives: What the audio drives: ``video`` (the method edits the clip: frame k of
            the result shows the head where frame k of the clip does) or ``image`` (it
            animates one image: head and framing are its own, so that SSIM, PSNR,
            LPIPS and landmark distances do not apply).
    """

    kind: str
    corpora: list[CorpusName] = Field(min_length=1)
    protocols: list[Protocol] = Field(default_factory=lambda: ["self"], min_length=1)
    drives: Drives = "video"

    @model_validator(mode="before")
    @classmethod
    def _without_title(cls, values: Any) -> Any:
        """``title``, which no code ever read, is accepted for one release."""
        if not isinstance(values, dict) or "title" not in values:
            return values
        log.warning("a method's `title` has no effect and will be refused: use `tables: labels:`")
        return {key: value for key, value in values.items() if key != "title"}

    def unused_scalars(self) -> tuple[str, ...]:
        return ("device",)

    def trim(self, dump: dict[str, Any]) -> None:
        """Remove what only defines the cells (a job is one cell) or is only printed."""
        for key in ("corpora", "protocols", "licence"):
            dump.pop(key, None)

    def can(self, protocol: str) -> bool:
        """Whether the method renders a protocol that ``samples.also`` asks of every
        method.
        """
        return protocol != "dial"

    def requires(self, corpus: str, protocol: str = "self") -> Requires:
        """What the rendering of a corpus's clips under a protocol reads beside them."""
        return Requires()


def rendering(method: BaseMethodConfig) -> Any:
    """The settings of a method that change its videos, in types of JSON."""
    return {key: value for key, value in shaping(method).items() if key != "drives"}


class GroundTruthConfig(BaseMethodConfig):
    """The clip itself.

    Attributes:
        reencode: Pass it through the same codec as everybody else's result.
    """

    kind: Literal["ground_truth"]
    reencode: bool = True

    def can(self, protocol: str) -> bool:
        return protocol == "self"


class CopiedInputConfig(BaseMethodConfig):
    """What a model would give that copies its input: in ``self`` another clip of the
    speaker, else the driven clip, with the driving audio.
    """

    kind: Literal["copied_input"]


class StillConfig(BaseMethodConfig):
    """The reference frame, repeated."""

    kind: Literal["still"]


class ShuffledAudioConfig(BaseMethodConfig):
    """The clip itself with another clip's audio: the floor of every synchronisation
    score.
    """

    kind: Literal["shuffled_audio"]

    def can(self, protocol: str) -> bool:
        return protocol == "self"


class TrainedMethodConfig(BaseMethodConfig):
    """A run of this workflow.

    Attributes:
        run: Name in ``training: runs:``.
        reference: Frames that show the identity: ``other_clip`` (another clip of the
            speaker, the honest choice), ``other_stretch`` (frames of the clip far away
            in time: what training sees), ``first_frame``, or ``current`` (the unmasked
            frame itself, as LatentSync does: leaks the answer in ``self``).
    """

    run: RunName
    reference: Reference = "other_clip"
    artefacts: ClassVar[tuple[str, ...]] = ()

    def unused_scalars(self) -> tuple[str, ...]:
        return ()

    def requires(self, corpus: str, protocol: str = "self") -> Requires:
        return Requires(runs=(("run", self.run),), features=(corpus,), artefacts=self.artefacts)


class EADNetMethodConfig(TrainedMethodConfig):
    """A run of EAD-Net.

    Attributes:
        caption_source: Where the text is from: ``target`` (the clip whose emotion is
            asked for: leaks), ``label`` (a sentence made from the label),
            ``other_clip`` (the caption of a training clip with the same label, so of
            another speaker) or ``same_speaker`` (the caption of another clip of the
            speaker with the same label: shows how this speaker expresses the emotion).
        sampler: Overrides of ``samples.sampler``; what is not given is taken from
            there.
    """

    kind: Literal["eadnet"]
    caption_source: CaptionSource = "other_clip"
    sampler: SamplerConfig = SamplerConfig()
    artefacts: ClassVar[tuple[str, ...]] = ("vae",)

    def can(self, protocol: str) -> bool:
        return True  # a run without intensity has rows with that reason

    def requires(self, corpus: str, protocol: str = "self") -> Requires:
        needs = super().requires(corpus, protocol)
        silence = ("whisper",) if protocol == "silent" else ()  # features hold no states of silence
        return replace(needs, artefacts=(*needs.artefacts, *silence))


class Wav2LipMethodConfig(TrainedMethodConfig):
    """A Wav2Lip generator trained by this workflow. The authors' own code shows it the
    frames themselves (``reference: current``).
    """

    kind: Literal["wav2lip"]

    def can(self, protocol: str) -> bool:
        return protocol in ("self", "cross", "silent")


class VideosConfig(BaseMethodConfig):
    """A folder of finished videos.

    Attributes:
        path: Folder. ``{corpus}`` and ``{protocol}`` in it are filled in.
        mapping: CSV with columns ``clip_id`` and ``video`` (relative to ``path``),
            optionally ``corpus`` and ``protocol``; null means ``{clip_id}.mp4`` in
            ``path``.
        after: Method of the config whose results the folder holds; the workflow then
            renders that one first.
        licence: Licence for the listing.
        emotion_control: How the method was given the emotion.
        missing_frames: Frames that may be missing at the end of a result.
        resample: Accept another frame rate and resample by time stamps.
        region: Part of the frame that is the result.
    """

    kind: Literal["videos"]
    path: str
    mapping: str | None = None
    after: MethodName | None = None
    licence: str = "not stated"
    emotion_control: Literal["none", "label", "text", "reference"] = "none"
    missing_frames: int = Field(0, ge=0)
    resample: bool = False
    region: Literal["full", "left_half", "right_half"] = "full"

    def can(self, protocol: str) -> bool:
        # a folder without the placeholder holds videos of `protocols` only
        return "{protocol}" in self.path and protocol != "dial"

    def requires(self, corpus: str, protocol: str = "self") -> Requires:
        return Requires(after=self.after)


class CommandConfig(BaseMethodConfig):
    """A program of the user's.

    Attributes:
        command: Command line with
            ``{video} {audio} {out} {reference} {emotion} {intensity} {frames} {fps}
            {size} {clip_id} {work}``
            and more (docs/methods.md), or ``{manifest} {out}`` (a folder) with
            ``per: manifest``; ``{output}`` is ``{out}``, ``{python}`` eadbench's own
            interpreter, ``{checkout}`` the folder of eadbench. Split once, run without
            a shell.
        per: ``clip`` or ``manifest`` (one run for all clips).
        cwd: Folder in which it runs; ``{work}`` is a private one. Null: where eadbench
            was started.
        env: Environment variables; ``${NAME}`` in a value stands for a variable of the
            environment that eadbench runs in, for what is secret.
        reads: Files and folders beside the command line's on which results depend:
            modules, weights. Other content renders again; of a git checkout, another
            commit or changed tracked files. Null: the checkout that the program lies
            in, if it does in one.
        timeout: Seconds per run.
        licence, emotion_control, missing_frames, resample, region: As for ``videos``.
    """

    kind: Literal["command"]
    command: str
    per: Literal["clip", "manifest"] = "clip"
    cwd: str | None = None
    env: dict[str, str] = Field(default_factory=dict)
    reads: list[str] | None = None
    timeout: float = Field(600, gt=0)
    licence: str = "not stated"
    emotion_control: Literal["none", "label", "text", "reference"] = "none"
    missing_frames: int = Field(0, ge=0)
    resample: bool = False
    region: Literal["full", "left_half", "right_half"] = "full"

    def can(self, protocol: str) -> bool:
        return protocol != "dial" or self.per == "manifest" or "{intensity}" in self.command


class ExternalConfig(BaseMethodConfig):
    """A published repository, run by a recipe of ``eadbench/samples/recipes/``.

    Attributes:
        recipe: Name of the recipe, or path of a YAML file of yours.
        path: The checkout that you made; null means that it is not there.
        weights: Folder with the weights, laid out as the recipe says; null means inside
            the checkout.
        python: Interpreter of the environment that you made of ``envs/<recipe>.yaml``;
            null means that it is not there.
        prepared: Folder with ``{clip_id}/`` made by the method's own preprocessing, for
            those that need it.
        persistent: Keep the program loaded from clip to clip where the recipe knows
            how; ``false`` starts it for each clip.
        any_commit: Accept another commit than the recipe's (reported, not refused).
        any_weights: Accept weights of another hash (reported, not refused).
        timeout: Seconds per clip.
        env: Further environment variables; as for ``command``.
        options: Values for the recipe's own placeholders, over its defaults.
        drives: As for all; what is not given is the recipe's.
    """

    kind: Literal["external"]
    recipe: str
    path: str | None = None
    weights: str | None = None
    python: str | None = None
    prepared: str | None = None
    persistent: bool = True
    any_commit: bool = False
    any_weights: bool = False
    timeout: float = Field(3600, gt=0)
    env: dict[str, str] = Field(default_factory=dict)
    options: dict[str, str | int | float] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _drives_of_the_recipe(cls, values: Any) -> Any:
        from eadbench.samples.recipe import load_recipe

        if not isinstance(values, dict) or "drives" in values:
            return values
        if not isinstance(values.get("recipe"), str):
            return values
        try:
            recipe, _ = load_recipe(values["recipe"])
        except EadbenchError:  # :func:`check` reports it, with the place
            return values
        return {**values, "drives": recipe.drives}

    def can(self, protocol: str) -> bool:
        from eadbench.samples.recipe import load_recipe

        return protocol in load_recipe(self.recipe)[0].protocols


Method = Annotated[
    GroundTruthConfig
    | CopiedInputConfig
    | StillConfig
    | ShuffledAudioConfig
    | EADNetMethodConfig
    | Wav2LipMethodConfig
    | VideosConfig
    | CommandConfig
    | ExternalConfig,
    Field(discriminator="kind"),
]


def _dumped(sampler: Any) -> Any:
    return sampler.model_dump() if isinstance(sampler, SamplerConfig) else sampler


class SamplesConfig(Section):
    """Test clips, methods and the final codec.

    Attributes:
        split: Split that is rendered.
        max_clips: At most so many clips per corpus, spread evenly over speakers and
            emotions; null means all.
        max_seconds: Clips are cut to this length; null means not.
        crf: x264 quality of the final encode, the same for all methods.
        preset: x264 preset of it.
        sampler: How EAD-Net samples.
        also: Protocols that every method renders beside its own, where it can.
        methods: Methods by name.
    """

    split: str = "test"
    max_clips: int | None = Field(None, ge=1)
    max_seconds: float | None = Field(None, gt=0)
    crf: int = Field(16, ge=0, le=51)
    preset: str = "veryfast"
    sampler: SamplerConfig = SamplerConfig()
    also: list[Also] = Field(default_factory=list)
    methods: dict[str, Method] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, values: Any) -> Any:
        """Write the samplers of the methods in full: the section's, with the method's
        overrides.
        """
        if not isinstance(values, dict):
            return values
        methods, shared = values.get("methods"), _dumped(values.get("sampler"))
        if not isinstance(methods, dict) or not isinstance(shared, dict) or not shared:
            return values
        full = {}
        for name, method in methods.items():
            if isinstance(method, dict) and method.get("kind") == "eadnet":
                overrides = _dumped(method.get("sampler")) or {}
                method = {**method, "sampler": {**shared, **overrides}}
            full[name] = method
        return {**values, "methods": full}

    def sampler_of(self, name: str) -> SamplerConfig:
        """The sampler of a method: the section's, with the method's overrides."""
        return self.methods[name].sampler

    def cells(self) -> list[tuple[str, str, str]]:
        """Method, corpus and protocol of all that is rendered."""
        return [
            (name, corpus, cell)
            for name, method in self.methods.items()
            for corpus in method.corpora
            for protocol in self.protocols_of(name)
            for cell in cells_of(protocol)
        ]

    def protocols_of(self, name: str) -> list[str]:
        """Protocols that a method renders: its own, then those of ``also`` that it can."""
        method = self.methods[name]
        others = [protocol for protocol in self.also if protocol not in method.protocols]
        return [*method.protocols, *filter(method.can, others)]


# Placeholders of a command line (docs/methods.md), run once for all clips or for each.
FOR_ALL = ("manifest", "out", "output", "work", "python", "checkout")
FOR_EACH = (
    "clip_id",
    "corpus",
    "speaker",
    "protocol",
    "video",
    "track",
    "source",
    "source_start",
    "source_end",
    "audio",
    "driving_clip",
    "reference_clip",
    "reference_video",
    "other_clip",
    "other_audio",
    "emotion",
    "intensity",
    "emotion_clip",
    "caption_clip",
    "speaker_clip",
    "frames",
    "size",
    "fps",
    "reference",
    "boxes",
    "out",
    "output",
    "work",
    "python",
    "checkout",
)
# A command needs one of them, or its program does not know where to write.
WHERE_TO_WRITE = {"out", "output", "manifest", "work"}


def check(settings: Any) -> None:
    """Check what needs the whole configuration: every cell has its ground truth, and
    what methods read exists.

    Raises:
        EadbenchError: With the method, and what to do.
    """
    methods = settings.samples.methods
    with_ground_truth = methods["ground_truth"].corpora if "ground_truth" in methods else []
    for name, method in methods.items():
        for corpus in method.corpora:
            if corpus not in with_ground_truth:
                hint = f"add {corpus} to samples.methods.ground_truth.corpora"
                raise EadbenchError(
                    f"method {name!r} is compared with the ground truth of {corpus!r}, which is not made",
                    f"samples.methods.{name}",
                    hint,
                )
        where = f"samples.methods.{name}"
        if isinstance(method, TrainedMethodConfig):
            settings.training.check_kind(method.run, method.kind, f"{where}.run")
        elif isinstance(method, CommandConfig):
            valid_names = FOR_ALL if method.per == "manifest" else FOR_EACH
            _check_placeholders(method.command, valid_names, f"{where}.command")
            if not placeholders(method.command + (method.cwd or "")) & WHERE_TO_WRITE:
                raise EadbenchError(
                    "the program is not told where to write its video",
                    f"{where}.command",
                    "name {output} (the file), {out}, {manifest} or {work} in it",
                )
            _check_placeholders(method.cwd or "", valid_names, f"{where}.cwd")
            if not placeholders(method.cwd or ""):
                _check_exists(method.cwd, f"{where}.cwd")
            for path in method.reads or []:
                _check_exists(path, f"{where}.reads")
        elif isinstance(method, VideosConfig):
            _check_placeholders(method.path, ("corpus", "protocol"), f"{where}.path")
            protocols = settings.samples.protocols_of(name)
            cells = [cell for protocol in protocols for cell in cells_of(protocol)]
            for corpus, protocol in product(method.corpora, cells):
                folder = Path(method.path.format(corpus=corpus, protocol=protocol)).expanduser()
                if not method.after and not folder.is_dir():
                    raise EadbenchError(
                        "the folder of videos does not exist",
                        f"{where}.path: {folder}",
                        "correct the path, or take the method out",
                    )
            _check_exists(method.mapping, f"{where}.mapping")
        elif isinstance(method, ExternalConfig):
            _check_recipe(method.recipe, f"{where}.recipe")
            for key in ("path", "weights", "prepared", "python"):
                _check_exists(getattr(method, key), f"{where}.{key}")


def _check_placeholders(text: str, valid_names: tuple[str, ...], where: str) -> None:
    try:
        unknown = sorted(placeholders(text) - set(valid_names))
    except ValueError as error:
        raise EadbenchError(
            f"a brace is not closed: {error}", where, "a placeholder is {name}; {{ and }} stand for braces"
        ) from error
    if unknown:
        near = nearest(f"{{{unknown[0]}}}", [f"{{{name}}}" for name in valid_names])
        raise EadbenchError(
            f"unknown placeholder {{{unknown[0]}}}{near}", where, f"known: {', '.join(valid_names)}"
        )


def _check_recipe(name: str, where: str) -> None:
    from eadbench.samples.recipe import load_recipe, shipped_recipes

    if not name.endswith((".yaml", ".yml")) and name not in shipped_recipes():
        hint = f"shipped: {', '.join(shipped_recipes())}; or give the path of a YAML file"
        raise EadbenchError(f"no recipe {name!r}{nearest(name, shipped_recipes())}", where, hint)
    load_recipe(name)


def _check_exists(path: str | None, where: str) -> None:
    if path and not Path(path).expanduser().exists():
        raise EadbenchError(
            "the path does not exist",
            f"{where}: {path}",
            "correct it, or set it to null: what is missing is then named in the tables",
        )
