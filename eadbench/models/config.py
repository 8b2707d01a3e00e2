"""Sizes and choices of the networks, without torch, so that a configuration can be
checked without loading it.
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from eadbench.core.section import Section

Stda = Literal["none", "full", "joint", "strip_h", "strip_v", "strip_hv", "strip_hvt", "filter", "pool"]
Tfrm = Literal["none", "gcn", "gat", "learned"]
Emotion = Literal["none", "text", "vai", "text+vai"]


class ModelConfig(Section):
    """Base: to and from plain JSON values, for `config.json` beside a checkpoint."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Validate what :meth:`to_dict` gave."""
        return cls.model_validate(values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self.model_dump(mode="json")


class EADNetConfig(ModelConfig):
    """EAD-Net. The defaults are the full size: the shape of Stable Diffusion 1.5, sizes
    and inputs as LatentSync; what is ours is marked so.

    Attributes:
        image_size: Side of the frames in pixels; for the record, since the network
            takes any size.
        frames: Frames per window in training and sampling (LatentSync: 16).
        latent_channels: Channels of the VAE's latents. The input has three times as
            many and one: noisy, mask, masked, reference.
        block_channels: Channels of each level; each but the last halves the side.
        layers_per_block: Residual blocks per level (one more on the way up).
        attention_levels: Levels with transformer blocks; the middle always has one.
        heads: Attention heads at every level.
        norm_groups: Groups of the group norms; must divide all `block_channels`.
        stda: Operator in the place of spatial self-attention: `full` (per frame) and
            `joint` (the whole clip) are the quadratic ones that it replaces; `strip_h`,
            `strip_v`, `strip_hv`, `strip_hvt` attend along rows, columns and frames in
            turn; `filter` and `pool` are the linear-cost readings. Which one the paper
            means is unknown; `strip_hvt` is ours.
        filter_taps: Taps of `filter` (odd).
        filter_groups: Channel groups with filters of their own.
        tfrm: Frame graph: `gcn` fixed weights by distance in time, `gat` graph
            attention, `learned` softmax adjacency with a temporal-proximity prior
            (ours).
        tfrm_band: Edges reach this many frames to either side.
        tfrm_layers: Rounds of message passing.
        tfrm_tau: Decay of the proximity prior in frames; learned from there on, except
            in `gcn`.
        motion: AnimateDiff motion modules after the transformer blocks (LatentSync
            stage 2); needless with `strip_hvt`.
        audio_dim: Width of the Whisper states (tiny: 384).
        audio_layers: Hidden states per time step (tiny: 5, the embedding and four
            layers).
        audio_left: Video frames of audio before the current one.
        audio_right: Video frames of audio after it.
        audio_mix_layers: Mix the hidden states of one time step to one token by a
            learned projection (ours; 10 tokens instead of 50).
        text_dim: Width of the T5 states.
        emotion: What tells the emotion: `text`, `vai` (valence, arousal, intensity),
            both or nothing.
        vai_tokens: Tokens that the vector becomes.
        context_dim: Width of all condition tokens after projection.
        decoder_condition: On the way up, attend to `all` conditions or to `audio` alone
            (the paper speaks of the encoder only; `all` is ours).
        shift: Conditions also shift the time embedding of each frame (ours); the
            network listens much sooner.
        prediction: What the network predicts.
    """

    image_size: int = 256
    frames: int = Field(16, ge=1)
    latent_channels: int = 4
    block_channels: tuple[int, ...] = Field((320, 640, 1280, 1280), min_length=1)
    layers_per_block: int = Field(2, ge=1)
    attention_levels: tuple[int, ...] = (0, 1, 2)
    heads: int = Field(8, ge=1)
    norm_groups: int = Field(32, ge=1)
    stda: Stda = "strip_hvt"
    filter_taps: int = Field(7, ge=1)
    filter_groups: int = Field(8, ge=1)
    tfrm: Tfrm = "learned"
    tfrm_band: int = Field(3, ge=1)
    tfrm_layers: int = Field(2, ge=1)
    tfrm_tau: float = Field(2.0, gt=0)
    motion: bool = False
    audio_dim: int = 384
    audio_layers: int = Field(5, ge=1)
    audio_left: int = Field(2, ge=0)
    audio_right: int = Field(2, ge=0)
    audio_mix_layers: bool = False
    text_dim: int = 768
    emotion: Emotion = "text+vai"
    vai_tokens: int = Field(4, ge=1)
    context_dim: int = 384
    decoder_condition: Literal["all", "audio"] = "all"
    shift: bool = True
    prediction: Literal["epsilon", "v"] = "epsilon"

    @property
    def in_channels(self) -> int:
        """Noisy, mask, masked, reference: 13 for 4 latent channels."""
        return 3 * self.latent_channels + 1

    @property
    def audio_rows(self) -> int:
        """Whisper states per video frame: two for each frame of the window."""
        return 2 * (self.audio_left + self.audio_right + 1)

    @property
    def audio_tokens(self) -> int:
        """Length N of the audio input per frame, `audio_rows * audio_layers`."""
        return self.audio_rows * self.audio_layers

    @property
    def sources(self) -> tuple[str, ...]:
        """Conditions that are attended to, audio first."""
        return ("audio", *(self.emotion.split("+") if self.emotion != "none" else ()))

    @property
    def parameters(self) -> int:
        """Number of weights within a few percent, without building the network: what a
        job that holds it must ask for depends on it.
        """
        time, last = 4 * self.block_channels[0], len(self.block_channels) - 1
        strips = {"none": 0, "filter": 0.3, "pool": 1, "strip_hv": 2, "strip_hvt": 3}.get(self.stda, 1)
        graph = {"none": 0, "gcn": self.tfrm_layers + 1}.get(self.tfrm, 3 * self.tfrm_layers + 1)
        tokens = self.audio_tokens // (self.audio_layers if self.audio_mix_layers else 1)
        count = time * (self.block_channels[0] + time)
        if self.shift:
            count += self.context_dim * time * (tokens + len(self.sources) - 1)

        def level(
            widths: list[tuple[int, int]], attentions: int, moved: bool, motion: bool = self.motion
        ) -> float:
            """Residual blocks of these channels in and out, transformer blocks and a
            frame graph behind them, a step to the next level.
            """
            out = widths[-1][1]
            blocks = sum(9 * i * o + 9 * o * o + time * o + (i != o) * i * o for i, o in widths)
            attended = attentions * (
                (16 + 4 * strips) * out**2 + 2 * len(self.sources) * self.context_dim * out
            )
            return (
                blocks
                + attended
                + (graph * out**2 if attentions else 0)
                + 22 * motion * len(widths) * out**2
                + 9 * moved * out**2
            )

        skips, before = [self.block_channels[0]], self.block_channels[0]
        for number, out in enumerate(self.block_channels):
            attended = self.layers_per_block if number in self.attention_levels else 0
            count += level(
                [(before if i == 0 else out, out) for i in range(self.layers_per_block)],
                attended,
                number < last,
            )
            skips += [out] * (self.layers_per_block + (number < last))
            before = out
        count += level([(before, before)] * 2, 1, False, False)
        for number, out in reversed(list(enumerate(self.block_channels))):
            widths = []
            for _ in range(self.layers_per_block + 1):
                widths.append((before + skips.pop(), out))
                before = out
            count += level(widths, len(widths) if number in self.attention_levels else 0, number > 0)
        return round(count)

    @model_validator(mode="after")
    def _check(self) -> "EADNetConfig":
        for channels in self.block_channels:
            if channels % self.norm_groups or channels % self.heads or (channels // self.heads) % 2:
                raise ValueError(
                    f"block_channels: {channels} must be a multiple of norm_groups={self.norm_groups} and "
                    f"of 2 * heads={2 * self.heads}"
                )
            if self.stda == "filter" and channels % self.filter_groups:
                raise ValueError(
                    f"block_channels: {channels} must be a multiple of filter_groups={self.filter_groups}"
                )
        if any(not 0 <= level < len(self.block_channels) for level in self.attention_levels):
            raise ValueError(f"attention_levels: must lie in 0..{len(self.block_channels) - 1}")
        if self.filter_taps % 2 == 0:
            raise ValueError("filter_taps: must be odd")
        return self


class SyncNetConfig(ModelConfig):
    """The training SyncNet; full size after LatentSync's StableSyncNet (16 frames, 256
    px, lower half of the face).

    Attributes:
        image_size: Side of the frames; the visual encoder sees the lower half,
            `image_size/2 x image_size`.
        frames: Frames per window.
        mel_bins: Bins of the mel spectrogram.
        mel_hz: Mel steps per second.
        fps: Frames per second.
        visual_channels: Channels of the visual stages; each halves both sides.
        audio_channels: Channels of the audio stages; each halves the bins and every
            second one the time.
        embedding: Width of the embeddings.
        attention_from: Stages from this index on end with self-attention (LatentSync:
            the last two); None for none.
        norm_groups: Groups of the group norms; must divide all channels.
        relu: Rectify embeddings before normalising, so that cosines lie in [0, 1] as
            the cosine BCE wants; off for the contrastive loss.
    """

    image_size: int = 256
    frames: int = Field(16, ge=1)
    mel_bins: int = 80
    mel_hz: float = 80.0
    fps: float = 25.0
    visual_channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 1024)
    audio_channels: tuple[int, ...] = (32, 64, 128, 256, 512)
    embedding: int = 2048
    attention_from: int | None = 4
    norm_groups: int = Field(8, ge=1)
    relu: bool = True

    @property
    def mel_steps(self) -> int:
        """Mel steps of a window, rounded up: 16 for 5 frames, 52 for 16, 80 for 25."""
        return -int(-self.frames * self.mel_hz // self.fps)

    @model_validator(mode="after")
    def _check(self) -> "SyncNetConfig":
        if self.image_size % 2 ** (len(self.visual_channels) + 1):
            raise ValueError(
                f"image_size: must be a multiple of {2 ** (len(self.visual_channels) + 1)}, a halving per "
                "visual stage and one for the crop"
            )
        for channels in (*self.visual_channels, *self.audio_channels):
            if channels % self.norm_groups:
                raise ValueError(f"channels: {channels} must be a multiple of norm_groups={self.norm_groups}")
        return self


class Wav2LipConfig(ModelConfig):
    """The generator of Wav2Lip (Prajwal et al., ACM MM 2020); the defaults are the
    published size.

    Attributes:
        face_size: Side of the face in pixels, a multiple of 32.
        width: Channels of the first convolution.
    """

    face_size: int = Field(96, multiple_of=32, ge=32)
    width: int = Field(16, ge=1)
