"""Section ``samples`` of the config: methods, protocols, and how EAD-Net samples."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from eadbench.core.settings import Section

Protocol = Literal["self", "cross", "cross_emotion"]
CaptionSource = Literal["target", "label", "other_clip", "same_speaker"]
Reference = Literal["other_clip", "other_stretch", "first_frame", "current"]
Scheduler = Literal["ddim", "dpmsolver++", "unipc", "euler"]


class SamplerConfig(Section):
    """How EAD-Net samples.

    Attributes:
        scheduler: Deterministic diffusers scheduler: ``ddim`` (LatentSync), ``dpmsolver++``, ``unipc`` or ``euler``.
        steps: Denoising steps (LatentSync: 20).
        audio_guidance: Guidance scale of the audio; 1 is off (LatentSync: 1.5).
        text_guidance: Guidance scale of the text or of the valence-arousal-intensity vector, apart from the audio's; 1 is off (ours).
        temperature: Factor on the noise that sampling starts from. Below 1 it keeps nearer to what is likeliest (as Kingma & Dhariwal 2018 do with a
            flow); what noise a network cannot take out again shows as blotches of colour (LatentSync: 1).
        overlap: Frames that neighbouring windows share; blended in latent space at every step (ours).
        chunk: Windows denoised at once. Bounds the memory whatever the length, and is part of the result: chunks pass their overlap on, windows in
            a chunk blend both ways.
        feather: Width of the soft edge of the mask, as a share of the frame's side (ours).
        colour_match: Shift the generated colours so that they meet the original ones around the mask.
        compile: ``torch.compile`` the network; worth its minutes on a GPU with many clips only.
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
    compile: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class BaseMethod(Section):
    """What all methods have.

    Attributes:
        kind: How the method makes its videos.
        corpora: Corpora whose test clips it renders.
        protocols: Driving protocols: ``self`` (own audio), ``cross`` (another clip's audio), ``cross_emotion`` (audio and emotion of another clip).
        title: Name in the tables; null means the key.
    """

    kind: str
    corpora: list[str] = Field(min_length=1)
    protocols: list[Protocol] = Field(default_factory=lambda: ["self"], min_length=1)
    title: str | None = None


class GroundTruth(BaseMethod):
    """The clip itself. ``reencode`` passes it through the same codec as everybody else's result."""

    kind: Literal["ground_truth"]
    reencode: bool = True


class CopiedInput(BaseMethod):
    """What a model would give that copies its input: in ``self`` another clip of the speaker, else the driven clip, with the driving audio."""

    kind: Literal["copied_input"]


class Still(BaseMethod):
    """The reference frame, repeated."""

    kind: Literal["still"]


class ShuffledAudio(BaseMethod):
    """The clip itself with another clip's audio: the floor of every synchronisation score."""

    kind: Literal["shuffled_audio"]


class EadNet(BaseMethod):
    """A run of EAD-Net.

    Attributes:
        run: Name in ``training: runs:``.
        reference: Frames that show the identity: ``other_clip`` (another clip of the speaker, the honest choice), ``other_stretch`` (frames of the
            clip far away in time: what training sees), ``first_frame``, or ``current`` (the unmasked frame itself, as LatentSync does: leaks the
            answer in ``self``).
        caption_source: Where the text is from: ``target`` (the clip whose emotion is asked for: leaks), ``label`` (a sentence made from the label),
            ``other_clip`` (the caption of a training clip with the same label, so of another speaker) or ``same_speaker`` (the caption of another
            clip of the speaker with the same label: tells how this speaker shows the emotion).
        sampler: Overrides of ``samples.sampler``.
    """

    kind: Literal["eadnet"]
    run: str
    reference: Reference = "other_clip"
    caption_source: CaptionSource = "other_clip"
    sampler: dict[str, Any] = Field(default_factory=dict)


class Wav2Lip(BaseMethod):
    """A Wav2Lip generator trained by this workflow.

    Attributes:
        run: Name in ``training: runs:``.
        reference: As for EAD-Net; the authors' own code uses ``current``.
    """

    kind: Literal["wav2lip"]
    run: str
    reference: Reference = "other_clip"


class Videos(BaseMethod):
    """A folder of finished videos.

    Attributes:
        path: Folder. ``{corpus}`` and ``{protocol}`` in it are filled in.
        mapping: CSV with columns ``clip_id`` and ``video`` (relative to ``path``), optionally ``corpus`` and ``protocol``; null means
            ``{clip_id}.mp4`` in ``path``.
        after: Method of the config whose results the folder holds; the workflow then renders that one first.
        licence: What the listing says.
        emotion_control: What the method was told of the emotion.
        missing_frames: Frames that a result may lack at its end.
        resample: Accept another frame rate and resample by time stamps.
        region: Part of the picture that is the result.
    """

    kind: Literal["videos"]
    path: str
    mapping: str | None = None
    after: str | None = None
    licence: str = "not stated"
    emotion_control: Literal["none", "label", "text", "reference"] = "none"
    missing_frames: int = Field(0, ge=0)
    resample: bool = False
    region: Literal["full", "left_half", "right_half"] = "full"


class Command(BaseMethod):
    """A program of the user's.

    Attributes:
        command: Command line with ``{video} {audio} {out} {reference} {emotion} {intensity} {frames} {fps} {size} {clip_id} {work}`` and more
            (docs/methods.md), or ``{manifest} {out}`` (a folder) with ``per: manifest``; ``{output}`` is ``{out}``, ``{python}`` eadbench's own
            interpreter, ``{checkout}`` the folder of eadbench. Split once, run without a shell.
        per: ``clip`` or ``manifest`` (one run for all clips).
        cwd: Folder in which it runs; ``{work}`` is a private one. Null: where eadbench was started.
        env: Environment variables; ``${NAME}`` in a value stands for a variable of the environment that eadbench runs in,
            for what is secret.
        timeout: Seconds per run.
        licence, emotion_control, missing_frames, resample, region: As for ``videos``.
    """

    kind: Literal["command"]
    command: str
    per: Literal["clip", "manifest"] = "clip"
    cwd: str | None = None
    env: dict[str, str] = Field(default_factory=dict)
    timeout: float = Field(600, gt=0)
    licence: str = "not stated"
    emotion_control: Literal["none", "label", "text", "reference"] = "none"
    missing_frames: int = Field(0, ge=0)
    resample: bool = False
    region: Literal["full", "left_half", "right_half"] = "full"


class External(BaseMethod):
    """A published repository, run by a recipe of ``eadbench/samples/recipes/``.

    Attributes:
        recipe: Name of the recipe, or path of a YAML file of yours.
        path: The checkout that you made; null means that it is not there.
        weights: Folder with the weights, laid out as the recipe says; null means inside the checkout.
        python: Interpreter of the environment that you made of ``envs/<recipe>.yaml``; null means that it is not there.
        prepared: Folder with ``{clip_id}/`` made by the method's own preprocessing, for those that need it.
        persistent: Keep the program loaded from clip to clip where the recipe knows how; ``false`` starts it anew for each.
        any_commit: Accept another commit than the recipe's (reported, not refused).
        any_weights: Accept weights of another hash (reported, not refused).
        timeout: Seconds per clip.
        env: Further environment variables; as for ``command``.
        options: Values for the recipe's own placeholders, over its defaults.
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


Method = Annotated[GroundTruth | CopiedInput | Still | ShuffledAudio | EadNet | Wav2Lip | Videos | Command | External, Field(discriminator="kind")]


class SamplesConfig(Section):
    """Test clips, methods and the final codec.

    Attributes:
        split: Split that is rendered.
        max_clips: At most so many clips per corpus, spread evenly over speakers and emotions; null means all.
        max_seconds: Clips are cut to this length; null means not.
        crf: x264 quality of the final encode, the same for all methods.
        preset: x264 preset of it.
        sampler: How EAD-Net samples.
        methods: Methods by name.
    """

    split: str = "test"
    max_clips: int | None = Field(None, ge=1)
    max_seconds: float | None = Field(None, gt=0)
    crf: int = Field(16, ge=0, le=51)
    preset: str = "veryfast"
    sampler: SamplerConfig = SamplerConfig()
    methods: dict[str, Method] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _overrides_fit(self) -> "SamplesConfig":
        for name, method in self.methods.items():
            if isinstance(method, EadNet):
                try:
                    self.sampler_of(name)
                except ValueError as error:
                    raise ValueError(f"methods.{name}.sampler: {error}") from error
        return self

    def sampler_of(self, name: str) -> SamplerConfig:
        """The sampler of a method: the section's, with the method's overrides."""
        over = getattr(self.methods[name], "sampler", {})
        return SamplerConfig.model_validate({**self.sampler.model_dump(), **over})
