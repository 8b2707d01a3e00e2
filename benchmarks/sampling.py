"""Frames per second of sampling, ours against LatentSync's way of doing it: python
benchmarks/sampling.py [--size paper] [--steps 20] [--compile]

Both with random weights, guidance on, the same steps, the same VAE, in the same
process:

- ours: EAD-Net (STDA, TFRM) through `eadbench.samples.pipeline`: all windows of a chunk
  and all branches of guidance in one batch, batched decoding;
- plain: a U-Net of LatentSync's kind and of the same widths (full spatial attention,
  AnimateDiff motion modules), one window and one branch at a time, frames decoded one
  by one.

`--size paper` is 256 pixels with Stable Diffusion 1.5's widths and VAE and wants a GPU;
`--size tiny` runs anywhere in a minute.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from diffusers import AutoencoderKL

from eadbench.core.device import pick_device
from eadbench.models.config import EADNetConfig
from eadbench.models.eadnet import EADNet
from eadbench.samples.config import SamplerConfig
from eadbench.samples.pipeline import RenderClip, Sampler
from eadbench.samples.run import TrainedRun
from eadbench.samples.schedulers import make_scheduler
from eadbench.zoo.kinds.vae import decode

SIZES = {
    "tiny": {
        "net": {
            "image_size": 64,
            "frames": 8,
            "block_channels": (32, 64),
            "layers_per_block": 1,
            "attention_levels": (0, 1),
            "heads": 4,
            "norm_groups": 8,
            "context_dim": 64,
        },
        "vae": {"block_out_channels": (16, 32, 32), "layers_per_block": 1, "norm_num_groups": 8},
    },
    "paper": {
        "net": {},
        "vae": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "norm_num_groups": 32},
    },
}
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}


def networks(size: str, device: torch.device) -> tuple[EADNet, EADNet, AutoencoderKL]:
    """EAD-Net, a U-Net of LatentSync's kind, and a VAE, with random weights."""
    torch.manual_seed(0)
    given = SIZES[size]
    ours = EADNet(EADNetConfig(**given["net"]))
    theirs = EADNet(EADNetConfig(**given["net"], stda="full", tfrm="none", motion=True, emotion="none"))
    levels = len(given["vae"]["block_out_channels"])
    vae = AutoencoderKL(
        **given["vae"],
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
    )
    return tuple(network.to(device).eval().requires_grad_(False) for network in (ours, theirs, vae))


def render_ours(sampler: Sampler, clip: RenderClip) -> int:
    """Frames drawn."""
    return sum(1 for _ in sampler.render(clip))


@torch.inference_mode()
def render_plain(
    network: EADNet,
    vae: AutoencoderKL,
    steps: int,
    windows: int,
    side: int,
    device: torch.device,
    dtype: torch.dtype,
) -> int:
    """Frames drawn the plain way."""
    model, drawn = network.config, 0
    shape = (1, model.frames, model.latent_channels, side, side)
    audio = torch.randn(1, model.frames, model.audio_tokens, model.audio_dim, device=device)
    given = {
        "mask": torch.ones(*shape[:2], 1, side, side, device=device),
        "masked": torch.randn(shape, device=device),
        "reference": torch.randn(shape, device=device),
        "audio": audio,
    }
    drop = torch.ones(1, dtype=torch.bool, device=device)
    for _ in range(windows):
        scheduler = make_scheduler("ddim", SCHEDULE, steps, device)
        state = torch.randn(shape, device=device)
        for t in scheduler.timesteps:
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                without = network(state, t.expand(1), **given, drop_audio=drop)
                within = network(state, t.expand(1), **given)
            state = scheduler.step((without + 1.5 * (within - without)).float(), t, state).prev_sample
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            for latent in state[0]:
                drawn += len(decode(vae, latent[None]).float().cpu())
    return drawn


def frames_per_second(work, device: torch.device, repeats: int) -> float:
    """Median over repeats, after one run to warm up."""
    work()
    rates = []
    for _ in range(repeats):
        started = time.perf_counter()
        drawn = work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        rates.append(drawn / (time.perf_counter() - started))
    return statistics.median(rates)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="paper" if torch.cuda.is_available() else "tiny")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 4, 8], help="windows at once")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the clip")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    a = parser.parse_args()
    device = pick_device(a.device)
    ours, theirs, vae = networks(a.size, device)
    model, side = ours.config, ours.config.image_size // 2 ** (len(vae.config.block_out_channels) - 1)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    what = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    )
    count = max(model.frames, int(a.seconds * 25))
    print(
        f"{what}; {a.size}: {model.image_size} px, {a.steps} steps, {count} frames, {dtype}, torch "
        f"{torch.__version__}"
    )

    windows = max(1, count // model.frames)
    plain = frames_per_second(
        lambda: render_plain(theirs, vae, a.steps, windows, side, device, dtype), device, a.repeats
    )
    print(f"plain, one window and one branch at a time: {plain:8.2f} frames/s")
    run = TrainedRun(ours, model.image_size, "face", SCHEDULE, 1.0)
    frames = np.zeros((count, model.image_size, model.image_size, 3), np.uint8)
    states = torch.randn(2 * count, model.audio_layers, model.audio_dim)
    for chunk in a.chunks:
        for scales in ((1.5, 1.5), (1.5, 2.0)):
            config = SamplerConfig(
                steps=a.steps,
                overlap=2,
                chunk=chunk,
                audio_guidance=scales[0],
                text_guidance=scales[1],
                compile=a.compile,
            )
            sampler = Sampler(run, vae, config, device, 1)

            def work(sampler: Sampler = sampler) -> int:
                return render_ours(
                    sampler, RenderClip("clip", iter(frames), count, frames[:4], states, vai=(0.5, 0.5, 1.0))
                )

            rate = frames_per_second(work, device, a.repeats)
            passes = "2 passes" if scales[0] == scales[1] else "3 passes"
            memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device.type == "cuda" else ""
            print(
                f"ours, {chunk} windows at once, {passes}:            {rate:8.2f} frames/s, "
                f"{rate / plain:5.2f} times{memory}"
            )


if __name__ == "__main__":
    main()
