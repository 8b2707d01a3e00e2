"""Section ``training`` of the config: the runs, and what they share."""

from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from eadbench.core.errors import EadbenchError
from eadbench.core.mistakes import mistakes, nearest
from eadbench.core.section import (
    SHAPES_NOTHING,
    ArtefactName,
    CorpusName,
    Requires,
    RunName,
    Section,
    checked_type,
    part_of,
)
from eadbench.core.settings import merge
from eadbench.models.config import EADNetConfig, SyncNetConfig, Wav2LipConfig

READS = {"run": ("seed", "device", "training.runs.{run}", "training.processes")}
Kind = Literal["eadnet", "syncnet", "wav2lip"]
MODELS = {"eadnet": EADNetConfig, "syncnet": SyncNetConfig, "wav2lip": Wav2LipConfig}
# What runs of a kind read of what all have.
OWN = {
    "eadnet": ("stage", "init", "pretrained", "losses", "diffusion", "trainable"),
    "syncnet": ("stage", "windows", "loss", "temperature", "augment"),
    "wav2lip": ("stage", "losses", "windows", "sync_weight", "sync_from"),
}


class OptimConfig(Section):
    """Optimiser, length and bookkeeping of a run. The defaults are the paper run's, but
    for length, batch and what fits the machine.

    Attributes:
        steps: Optimiser steps.
        batch: Samples per optimiser step over all processes: windows (EAD-Net, Wav2Lip)
            or clips (SyncNet).
        accumulate: Passes that one optimiser step is split into.
        lr, weight_decay, beta2: AdamW.
        schedule: ``constant`` or ``cosine`` (to zero), after the warm-up.
        warmup: Steps of linear warm-up, from 0, with either schedule.
        clip: Largest gradient norm.
        ema: Largest decay of the moving average of the weights that is saved in the
            end; 0 saves the last weights. The decay rises from 0: after n steps it is
            at most ``n / (n + 9)``, as diffusers' ``EMAModel`` does without its
            warm-up, so that 0.99 is reached after 891 steps, 0.999 after 8,991 and
            0.9999 after 89,991. Shorter runs average with what they have reached by
            then, about the last ninth of their steps, whatever larger number stands
            here.
        use_ema_warmup: Let it rise as
            ``1 - (1 + (n - 1) / ema_inv_gamma) ** -ema_power`` instead (diffusers' EMA
            warm-up): with 1 and 3/4 it reaches 0.999 after 10,000 and 0.9999 after
            215,000 steps.
        ema_inv_gamma, ema_power: See there.
        ema_min_decay: Least decay from the second step on; as large as ``ema``, the
            decay is fixed.
        precision: ``auto`` is bf16 on a GPU and fp32 on the CPU; or ``no``, ``bf16``,
            ``fp16``.
        gradient_checkpointing: Recompute activations in the backward pass; less memory,
            more time.
        log_every, validate_every, save_every: Steps between log rows, validations and
            resumable states. Validation also runs at the end.
        validate_batches: Batches per validation; always the same samples with the same
            noise.
        workers: Processes that load data; 0 loads in the training process. Results do
            not depend on it.
        prefetch: Batches that each of them loads ahead.
    """

    steps: int = Field(1000, gt=0)
    batch: int = Field(8, gt=0)
    accumulate: int = Field(1, gt=0)
    lr: float = Field(1e-5, gt=0)
    weight_decay: float = 0.01
    beta2: float = 0.999
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    clip: float = 1.0
    ema: float = Field(0.9999, ge=0, lt=1)
    use_ema_warmup: bool = False
    ema_inv_gamma: float = Field(1.0, gt=0)
    ema_power: float = Field(2 / 3, gt=0)
    ema_min_decay: float = Field(0.0, ge=0, lt=1)
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    gradient_checkpointing: bool = False
    log_every: int = Field(50, gt=0, json_schema_extra=SHAPES_NOTHING)
    validate_every: int = Field(5000, gt=0, json_schema_extra=SHAPES_NOTHING)
    save_every: int = Field(5000, gt=0, json_schema_extra=SHAPES_NOTHING)
    validate_batches: int = Field(8, ge=0, json_schema_extra=SHAPES_NOTHING)
    workers: int = Field(0, ge=0, json_schema_extra=SHAPES_NOTHING)
    prefetch: int = Field(2, gt=0, json_schema_extra=SHAPES_NOTHING)

    @model_validator(mode="after")
    def _least_decay_below_the_largest(self) -> "OptimConfig":
        if self.ema and self.ema_min_decay > self.ema:
            raise ValueError("`ema_min_decay` must not be above `ema`")
        return self


class LossConfig(Section):
    """The four losses of EAD-Net and what tames them.

    Attributes:
        noise, sync, lpips, trepa: Weights (LatentSync: 1, 0.05, 0.1, 10). TREPA's is
            multiplied by D / 1408, since a mean squared difference of unit vectors
            shrinks with their width D and 10 belongs to a 1408 wide encoder. Stage 1
            uses noise alone, as LatentSync does.
        x0_weight: Weight w(t) of the losses on the estimated clean sample, whose error
            grows as sqrt((1 - abar) / abar) with the noise: ``alpha_bar`` (ours) w =
            abar_t, ``min_snr`` w = min(SNR, 1), ``none`` w = 1 (LatentSync).
        x0_every: Steps between steps that have losses on the clean sample; the decoder
            is what costs (LatentSync: 1).
        x0_frames: Consecutive frames of the window that are decoded for them; null
            decodes all.
        sync_others: Moments of the clip from which the audio of each window is told,
            beside the other windows, with a contrastive SyncNet (ours).
        lower_half: LPIPS looks at the lower half only (LatentSync).
        emphasis: Noise loss counts ``1 + emphasis`` times where the mask says
            regenerate (ours; 0 = LatentSync).
        mouth_emphasis: The same around the mouth of the alignment template (ours).
        snr_gamma: Min-SNR weighting of the noise loss (Hang et al. 2023) with this
            gamma; null = none.
    """

    noise: float = 1.0
    sync: float = 0.05
    lpips: float = 0.1
    trepa: float = 10.0
    x0_weight: Literal["alpha_bar", "min_snr", "none"] = "alpha_bar"
    x0_every: int = Field(1, gt=0)
    x0_frames: int | None = None
    sync_others: int = Field(8, ge=1)
    lower_half: bool = True
    emphasis: float = 0.0
    mouth_emphasis: float = 0.0
    snr_gamma: float | None = None


CLEAN_LOSSES = ("sync", "lpips", "trepa", "x0_weight", "x0_every", "lower_half")  # of stage 2


class DiffusionConfig(Section):
    """The noise, and what conditions a sample.

    Attributes:
        beta_start, beta_end, train_steps: Scaled-linear schedule (Stable Diffusion).
        shared_noise: a: noise is (a * shared by all frames + own) / sqrt(1 + a^2)
            (LatentSync: 1).
        timestep_mean: Null draws timesteps evenly (Stable Diffusion). A number m draws
            ``train_steps * sigmoid(m + z)``, z standard normal (Esser et al. 2024):
            above 0, more of the noisy steps, in which the mouth's shape is decided.
        drop_audio, drop_text: Shares of the samples that learn without it, drawn
            independently, so that both can be guided (ours).
        vector_alone: Share of the labelled samples that see the
            valence-arousal-intensity vector without the text, so that it can dial the
            emotion by itself (ours).
        other_reference: Share of the samples whose reference is another clip of the
            speaker, where there is one, so that the emotion has to come from text and
            vector instead of the reference (ours; LatentSync: 0, another window of the
            same clip).
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012
    train_steps: int = 1000
    shared_noise: float = 1.0
    timestep_mean: float | None = None
    drop_audio: float = 0.1
    drop_text: float = 0.1
    vector_alone: float = Field(0.2, ge=0, le=1)
    other_reference: float = Field(0.5, ge=0, le=1)


class RunConfig(Section):
    """One run. Only what differs from the shared values needs to be written; with
    ``base``, only what differs from that run.

    Attributes:
        kind: ``eadnet``, ``syncnet`` or ``wav2lip``.
        base: Run that this one is a diff against; mappings are merged key by key.
        train_on: Corpora whose features train it; the section's by default. What it
            starts from may have seen others: the card and the tables say so.
        stage: 1 = frames for themselves, noise loss alone; 2 = all losses. (eadnet)
        init: Run whose weights it starts from. (eadnet)
        pretrained: Artefact of the zoo with Stable Diffusion's U-Net to start from;
            also to be listed in `parts`. (eadnet)
        syncnet: Run of the SyncNet that the sync loss uses. (eadnet stage 2, wav2lip)
        parts: Artefacts of the zoo that the losses use: ``vae``, ``lpips``,
            ``videomae``. (eadnet stage 2)
        model: Sizes and choices of the network, over ``training.model``; see
            ``eadbench/models/config.py``.
        losses, diffusion, optim: Over the shared ones.
        trainable: Regular expressions; parameters whose name matches none stay as they
            are. (eadnet)
        windows: Windows of one clip that are told from each other (syncnet); windows
            per sample for the expert's loss (wav2lip).
        loss: ``contrastive`` (InfoNCE among a clip's windows) or ``bce`` (LatentSync:
            cosine, one shifted negative for every other). (syncnet)
        temperature: Of the contrastive loss.
        augment: Mirror and change colours of whole windows at random. (syncnet)
        sync_weight: Weight of the expert's loss beside L1. (wav2lip)
        sync_from: Step from which it counts. (wav2lip)
    """

    kind: Kind
    base: RunName | None = None
    train_on: list[CorpusName] = []
    stage: Literal[1, 2] = 1
    init: RunName | None = None
    pretrained: ArtefactName | None = None
    syncnet: RunName | None = None
    parts: list[ArtefactName] = []
    model: dict[str, Any] = {}
    losses: LossConfig = LossConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    optim: OptimConfig = OptimConfig()
    trainable: list[str] = [".*"]
    windows: int = Field(8, ge=2)
    loss: Literal["contrastive", "bce"] = "contrastive"
    temperature: float = Field(0.1, gt=0)
    augment: bool = True
    sync_weight: float = 0.03
    sync_from: int = 0

    @model_validator(mode="after")
    def _sizes_are_sizes(self) -> "RunConfig":
        check_sizes(self.kind, self.model, "model.")
        return self

    def trim(self, dump: dict[str, Any]) -> None:
        """What runs of the other kinds read; and features, runs and artefacts, which
        are inputs: a job depends on those anyway.
        """
        for key in {"base", "train_on", "syncnet", "parts"} | {
            key for keys in OWN.values() for key in keys if key not in OWN[self.kind]
        }:
            dump.pop(key, None)
        losses = dump.get("losses")
        if isinstance(losses, dict):
            if self.kind == "wav2lip":
                dump["losses"] = {"sync_others": losses["sync_others"]}
            elif self.stage == 1:
                dump["losses"] = {key: value for key, value in losses.items() if key not in CLEAN_LOSSES}


class TrainingConfig(Section):
    """Runs, and the values that they share.

    Attributes:
        train_on: Corpora whose features train the runs that name none of their own.
        model: Sizes and choices of EAD-Net shared by its runs. Widths that the features
            decide (``audio_dim``, ``audio_layers``, ``text_dim``, ``latent_channels``,
            ``image_size``) are taken from them.
        losses, diffusion, optim: Shared values.
        processes: Processes over which a run splits its batches, each with a GPU of its
            own where there are GPUs. Results depend on it by rounding only.
        runs: Runs by name, each with all that it inherits.
    """

    train_on: list[CorpusName] = []
    model: dict[str, Any] = {}
    losses: dict[str, Any] = {}
    diffusion: dict[str, Any] = {}
    optim: dict[str, Any] = {}
    processes: int = Field(1, ge=1, json_schema_extra=SHAPES_NOTHING)
    runs: dict[str, RunConfig]

    @field_validator("model")
    @classmethod
    def _shared_sizes_are_sizes(cls, sizes: dict[str, Any]) -> dict[str, Any]:
        check_sizes("eadnet", sizes)
        return sizes

    @field_validator("losses", "diffusion", "optim")
    @classmethod
    def _shared_values_fit(cls, values: dict[str, Any], field: ValidationInfo) -> dict[str, Any]:
        model = {"losses": LossConfig, "diffusion": DiffusionConfig, "optim": OptimConfig}[field.field_name]
        try:
            part_of(model, values)
        except ValidationError as error:
            raise ValueError(mistakes(error, model)) from error
        return values

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, section: Any) -> Any:
        """Write the runs out in full: what is shared, then the run that each is a diff
        against, then what is its own.
        """
        runs = section.get("runs") if isinstance(section, dict) else None
        if not isinstance(runs, dict) or not all(isinstance(run, dict) for run in runs.values()):
            return section
        shared = {
            key: section[key] for key in ("train_on", "losses", "diffusion", "optim") if section.get(key)
        }
        full = {}
        for name in runs:
            own = _inherited(runs, name, ())
            full[name] = merge(
                shared
                | (
                    {"model": section["model"]}
                    if own.get("kind") == "eadnet" and section.get("model")
                    else {}
                ),
                own,
            )
        return {**section, "runs": full}

    def run(self, name: str) -> RunConfig:
        """A run with all that it inherits.

        Raises:
            EadbenchError: If there is no such run.
        """
        if name not in self.runs:
            known = ", ".join(self.runs)
            raise EadbenchError(
                f"no run {name!r} in the configuration{nearest(name, self.runs)}",
                "training.runs",
                f"known: {known}",
            )
        return self.runs[name]

    def check_kind(self, name: str, kind: Kind, where: str) -> None:
        """Verify that the run that a place names is of the kind that is used there.

        Raises:
            EadbenchError: If not; with those that are.
        """
        if self.run(name).kind != kind:
            fitting = [other for other, run in self.runs.items() if run.kind == kind]
            raise EadbenchError(
                f"run {name!r} is of kind {self.run(name).kind}, not {kind}",
                where,
                f"of that kind: {', '.join(fitting) or 'none'}",
            )

    def requires(self, name: str) -> Requires:
        """What a run is trained on, the runs that it starts from and learns from, and
        the frozen parts of its losses.
        """
        run = self.run(name)
        runs = tuple((role, getattr(run, role)) for role in ("init", "syncnet") if getattr(run, role))
        return Requires(features=tuple(run.train_on), runs=runs, artefacts=tuple(run.parts))

    def weights_mb(self, name: str) -> int:
        """Size of one copy of a run's network in float32, MB; those of other kinds than
        ``eadnet`` are small and count as 0.
        """
        run = self.run(name)
        return (
            round(4 * EADNetConfig.model_validate(run.model).parameters / 1e6) if run.kind == "eadnet" else 0
        )

    def loaded_mb(self, name: str) -> int:
        """What waits in memory while a run's workers load ahead, MB; of other kinds
        than ``syncnet`` it is small and counts as 0.
        """
        run = self.run(name)
        if run.kind != "syncnet":
            return 0
        model = SyncNetConfig.model_validate(run.model)
        window = model.frames * 3 * model.image_size**2 // 2  # uint8, lower half
        ahead = max(run.optim.workers * run.optim.prefetch, 1)
        return round(run.optim.batch * run.windows * window * ahead / self.processes / 1e6)

    def seen_by(self, name: str) -> set[str]:
        """Corpora that a run and all that it starts from train on."""
        run = self.run(name)
        return {*run.train_on, *(self.seen_by(run.init) if run.init else ())}

    def corpora(self) -> set[str]:
        """Corpora that any run trains on."""
        return {corpus for run in self.runs.values() for corpus in run.train_on}


def check(settings: Any) -> None:
    """Every run has something to train on, and starts and learns from runs of the right
    kind.

    Raises:
        EadbenchError: With the run that has not.
    """
    for name, run in settings.training.runs.items():
        if not run.train_on:
            hint = "name corpora there, or for all runs in training.train_on"
            raise EadbenchError(
                f"run {name!r} has no corpus to train on", f"training.runs.{name}.train_on", hint
            )
        for role, kind in (("init", "eadnet"), ("syncnet", "syncnet")):
            other = getattr(run, role)
            if other:
                settings.training.check_kind(other, kind, f"training.runs.{name}.{role}")


def check_sizes(kind: Kind, sizes: dict[str, Any], place: str = "") -> None:
    """Sizes and choices of a network are such; ``place`` goes before the key in the
    message.

    Raises:
        ValueError: For the first that is not.
    """
    known = MODELS[kind].model_fields
    for key, value in sizes.items():
        if key not in known:
            raise ValueError(f"{place}{key}: unknown key{nearest(key, known)}")
        try:
            TypeAdapter(checked_type(known[key])).validate_python(value)
        except ValidationError as error:
            raise ValueError(f"{place}{key}: {error.errors()[0]['msg']}") from error


def _inherited(runs: dict[str, dict[str, Any]], name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise ValueError(f"runs.{seen[0]}.base: {' -> '.join((*seen, name))} is a circle")
    if name not in runs:
        raise ValueError(f"runs.{seen[-1]}.base: there is no run {name!r}{nearest(name, runs)}")
    own = runs[name]
    return merge(_inherited(runs, own["base"], (*seen, name)), own) if own.get("base") else own
