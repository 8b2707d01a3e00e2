"""Section ``training`` of the config: the runs, and what they share."""

from typing import Any, Literal

from pydantic import Field, model_validator

from eadbench.core.errors import EadbenchError
from eadbench.core.settings import Section, merge

Kind = Literal["eadnet", "syncnet", "wav2lip"]


class OptimConfig(Section):
    """Optimiser, length and bookkeeping of a run.

    Attributes:
        steps: Optimiser steps.
        batch: Samples per optimiser step over all processes: windows (EAD-Net, Wav2Lip) or clips (SyncNet).
        accumulate: Passes that one optimiser step is split into.
        lr, weight_decay, beta2: AdamW.
        schedule: ``constant`` or ``cosine`` (to zero), after the warm-up.
        warmup: Steps of linear warm-up, from 0, with either schedule.
        clip: Largest gradient norm.
        ema: Largest decay of the moving average of the weights that is saved in the end; 0 saves the last weights. The decay
            rises from 0: after n steps it is at most ``n / (n + 9)``, as diffusers' ``EMAModel`` does without its warm-up, so
            that 0.99 is reached after 891 steps, 0.999 after 8,991 and 0.9999 after 89,991. Shorter runs average with what
            they have reached by then, about the last ninth of their steps, whatever larger number stands here.
        use_ema_warmup: Let it rise as ``1 - (1 + (n - 1) / ema_inv_gamma) ** -ema_power`` instead (diffusers' EMA warm-up):
            with 1 and 3/4 it reaches 0.999 after 10,000 and 0.9999 after 215,000 steps.
        ema_inv_gamma, ema_power: See there.
        ema_min_decay: Least decay from the second step on; as large as ``ema``, the decay is fixed.
        precision: ``auto`` is bf16 on a GPU and fp32 on the CPU; or ``no``, ``bf16``, ``fp16``.
        gradient_checkpointing: Recompute activations in the backward pass; less memory, more time.
        log_every, validate_every, save_every: Steps between log rows, validations and resumable states. Validation also runs at the end.
        validate_batches: Batches per validation; always the same samples with the same noise.
        workers: Processes that load data; 0 loads in the training process. Results do not depend on it.
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
    ema: float = Field(0.999, ge=0, lt=1)
    use_ema_warmup: bool = False
    ema_inv_gamma: float = Field(1.0, gt=0)
    ema_power: float = Field(2 / 3, gt=0)
    ema_min_decay: float = Field(0.0, ge=0, lt=1)
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    gradient_checkpointing: bool = False
    log_every: int = Field(10, gt=0)
    validate_every: int = Field(500, gt=0)
    save_every: int = Field(500, gt=0)
    validate_batches: int = Field(4, ge=0)
    workers: int = Field(0, ge=0)
    prefetch: int = Field(2, gt=0)

    @model_validator(mode="after")
    def _least_decay_below_the_largest(self) -> "OptimConfig":
        if self.ema and self.ema_min_decay > self.ema:
            raise ValueError("`ema_min_decay` must not be above `ema`")
        return self


class LossConfig(Section):
    """The four losses of EAD-Net and what tames them.

    Attributes:
        noise, sync, lpips, trepa: Weights (LatentSync: 1, 0.05, 0.1, 10). TREPA's is multiplied by D / 1408, since a mean squared difference of unit
            vectors shrinks with their width D and 10 belongs to a 1408 wide encoder. Stage 1 uses noise alone, as LatentSync does.
        x0_weight: Weight w(t) of the losses on the estimated clean sample, whose error grows as sqrt((1 - abar) / abar) with the noise:
            ``alpha_bar`` (ours) w = abar_t, ``min_snr`` w = min(SNR, 1), ``none`` w = 1 (LatentSync).
        x0_every: Steps between steps that have losses on the clean sample; the decoder is what costs (LatentSync: 1).
        x0_frames: Consecutive frames of the window that are decoded for them; null decodes all.
        sync_others: Moments of the clip from which the sound of each window is told, beside the other windows, with a contrastive SyncNet (ours).
        lower_half: LPIPS looks at the lower half only (LatentSync).
        emphasis: Noise loss counts ``1 + emphasis`` times where the mask says regenerate (ours; 0 = LatentSync).
        mouth_emphasis: The same around the mouth of the alignment template (ours).
        snr_gamma: Min-SNR weighting of the noise loss (Hang et al. 2023) with this gamma; null = none.
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


class DiffusionConfig(Section):
    """The noise, and what conditions a sample.

    Attributes:
        beta_start, beta_end, train_steps: Scaled-linear schedule (Stable Diffusion).
        shared_noise: a: noise is (a * shared by all frames + own) / sqrt(1 + a^2) (LatentSync: 1).
        timestep_mean: Null draws timesteps evenly (Stable Diffusion). A number m draws ``train_steps * sigmoid(m + z)``, z standard normal (Esser et
            al. 2024): above 0, more of the noisy steps, in which the mouth's shape is decided.
        drop_audio, drop_text: Shares of the samples that learn without it, drawn independently, so that both can be guided (ours).
        vector_alone: Share of the labelled samples that see the valence-arousal-intensity vector without the text, so that it can dial the emotion by
            itself (ours).
        other_reference: Share of the samples whose reference is another clip of the speaker, where there is one, so that the emotion has to come from
            text and vector instead of the reference (ours; LatentSync: 0, another window of the same clip).
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012
    train_steps: int = 1000
    shared_noise: float = 1.0
    timestep_mean: float | None = None
    drop_audio: float = 0.1
    drop_text: float = 0.1
    vector_alone: float = Field(0.0, ge=0, le=1)
    other_reference: float = Field(0.0, ge=0, le=1)


class RunConfig(Section):
    """One run. Only what differs from the shared values needs to be written; with ``base``, only what differs from that run.

    Attributes:
        kind: ``eadnet``, ``syncnet`` or ``wav2lip``.
        base: Run that this one is a diff against; mappings are merged key by key.
        stage: 1 = frames for themselves, noise loss alone; 2 = all losses. (eadnet)
        init: Run whose weights it starts from. (eadnet)
        pretrained: Artefact of the zoo with Stable Diffusion's U-Net to start from; also to be listed in `parts`. (eadnet)
        syncnet: Run of the SyncNet that the sync loss uses. (eadnet stage 2, wav2lip)
        parts: Artefacts of the zoo that the losses use: ``vae``, ``lpips``, ``videomae``. (eadnet stage 2)
        model: Sizes and choices of the network, over ``training.model``; see ``eadbench/models/config.py``.
        losses, diffusion, optim: Over the shared ones.
        trainable: Regular expressions; parameters whose name matches none stay as they are. (eadnet)
        windows: Windows of one clip that are told from each other (syncnet); windows per sample for the expert's loss (wav2lip).
        loss: ``contrastive`` (InfoNCE among a clip's windows) or ``bce`` (LatentSync: cosine, one shifted negative for every other). (syncnet)
        temperature: Of the contrastive loss.
        augment: Mirror and change colours of whole windows at random. (syncnet)
        sync_weight: Weight of the expert's loss beside L1. (wav2lip)
        sync_from: Step from which it counts. (wav2lip)
    """

    kind: Kind
    base: str | None = None
    stage: Literal[1, 2] = 1
    init: str | None = None
    pretrained: str | None = None
    syncnet: str | None = None
    parts: list[str] = []
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


class TrainingConfig(Section):
    """Runs, and the values that they share.

    Attributes:
        train_on: Corpora whose features train.
        model: Sizes and choices of EAD-Net shared by its runs. Widths that the features decide (``audio_dim``, ``audio_layers``, ``text_dim``,
            ``latent_channels``, ``image_size``) are taken from them.
        losses, diffusion, optim: Shared values.
        processes: Processes over which a run splits its batches, each with a GPU of its own where there are GPUs. Results depend on it by rounding
            only.
        runs: Runs by name, as written; :meth:`run` gives one in full.
    """

    train_on: list[str] = []
    model: dict[str, Any] = {}
    losses: dict[str, Any] = {}
    diffusion: dict[str, Any] = {}
    optim: dict[str, Any] = {}
    processes: int = Field(1, ge=1)
    runs: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _all_valid(self) -> "TrainingConfig":
        # A job is given only its own run and its bases, so that references to other runs are checked by the workflow, which has them all.
        for name in self.runs:
            self._in_full(name, ())
        return self

    def run(self, name: str) -> RunConfig:
        """A run with all that it inherits.

        Raises:
            EadbenchError: If there is no such run.
        """
        if name not in self.runs:
            raise EadbenchError(f"no run {name!r} in the configuration", "training.runs", f"known: {', '.join(self.runs)}")
        return self._in_full(name, ())

    def _in_full(self, name: str, seen: tuple[str, ...]) -> RunConfig:
        raw = self._inherited(name, seen)
        shared = {"losses": self.losses, "diffusion": self.diffusion, "optim": self.optim}
        if raw.get("kind") == "eadnet":
            shared["model"] = self.model
        return RunConfig.model_validate(merge(shared, raw))

    def _inherited(self, name: str, seen: tuple[str, ...]) -> dict[str, Any]:
        if name in seen or name not in self.runs:
            raise ValueError(f"run {seen[-1] if seen else name!r}: base {name!r} " + ("refers to itself" if name in seen else "does not exist"))
        own = self.runs[name]
        return merge(self._inherited(own["base"], (*seen, name)), own) if own.get("base") else own
