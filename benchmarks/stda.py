"""What strip attention saves: each operator alone, and inside a whole U-Net step.

    python benchmarks/stda.py                 # CPU, one thread, about three minutes
    python benchmarks/stda.py --device cuda   # larger sizes, bf16

Every operator runs whole: norm, projections, mixing, gate. Attention runs fused
(torch's flash kernel) and plain (score matrices in memory), since fused attention needs
no quadratic memory. Prints tables, writes JSON.
"""

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from eadbench.models.config import EADNetConfig
from eadbench.models.eadnet import EADNet
from eadbench.models.stda import STDA

ATTENTION = ("full", "joint", "strip_hv", "strip_hvt")
KINDS = (*ATTENTION, "filter", "pool")
BACKENDS = {"fused": SDPBackend.FLASH_ATTENTION, "plain": SDPBackend.MATH}


@dataclass
class Row:
    """One measurement; seconds are null where it was not run, and ``note`` says why."""

    what: str
    kind: str
    backend: str
    side: int
    frames: int
    forward: float | None = None
    backward: float | None = None  # forward and backward together
    spread: float | None = None  # interquartile range of forward over its median
    forward_mb: float | None = None  # peak of what forward allocates, without gradients
    backward_mb: float | None = None  # peak of forward and backward
    note: str = ""


def pairs(kind: str, side: int, frames: int) -> int:
    """Pairs of tokens that meet, which is what attention pays for."""
    n = side * side
    per_token = {"full": n, "joint": n * frames, "strip_hv": 2 * side, "strip_hvt": 2 * side + frames}
    return frames * n * per_token.get(kind, 1)


class Meter:
    """Times and weighs calls on one device."""

    def __init__(self, device: torch.device, threads: int, limit: float, max_mb: float) -> None:
        self.device, self.limit, self.max_mb = device, limit, max_mb
        # A shared machine: with one thread the CPU's own count of our time is what a
        # quiet machine's clock would show.
        self.clock = time.process_time if device.type == "cpu" and threads == 1 else time.perf_counter

    def seconds(self, call: Callable[[], object]) -> list[float]:
        """Durations of repeated calls: after one for warming up, at least 3 and about
        half a second's worth; just one if it takes that long.
        """
        first = self._once(call)
        if first > 2:
            return [first]
        return [self._once(call) for _ in range(min(max(3, math.ceil(0.5 / max(first, 1e-4))), 15))]

    def _once(self, call: Callable[[], object]) -> float:
        self._wait()
        start = self.clock()
        call()
        self._wait()
        return self.clock() - start

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_mb(self, call: Callable[[], object]) -> float:
        """Peak memory that a call allocates, MiB."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            call()
            return (torch.cuda.max_memory_allocated() - before) / 2**20
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
            call()
        events = sorted(
            (e.start_ns(), e.nbytes())
            for e in record.profiler.kineto_results.events()
            if e.name() == "[memory]"
        )
        now = peak = 0
        for _, size in events:
            now += size
            peak = max(peak, now)
        return peak / 2**20


def operator_row(
    meter: Meter,
    kind: str,
    backend: str,
    side: int,
    frames: int,
    channels: int,
    heads: int,
    dtype: torch.dtype,
) -> Row:
    """Measure one operator on one clip of (frames, side, side, channels)."""
    row = Row("operator", kind, backend, side, frames)
    scores_mb = pairs(kind, side, frames) * heads * (2 if dtype == torch.bfloat16 else 4) / 2**20
    if backend == "plain" and 3 * scores_mb > meter.max_mb:  # scores, their softmax, and a gradient
        row.note = f"not run: score matrices of {scores_mb:.0f} MiB"
        return row
    torch.manual_seed(0)
    module = STDA(channels, heads, kind).to(meter.device, dtype)
    x = torch.randn(1, frames, side, side, channels, device=meter.device, dtype=dtype, requires_grad=True)

    def forward() -> None:
        with torch.no_grad():
            module(x)

    def backward() -> None:
        module(x).sum().backward()

    with backend_of(kind, backend):
        try:
            times = meter.seconds(forward)
            row.forward, row.spread = statistics.median(times), spread(times)
            row.forward_mb = meter.peak_mb(forward)
            if 4 * row.forward > meter.limit:
                row.note = "backward not run: beyond the time limit"
                return row
            row.backward = statistics.median(meter.seconds(backward))
            row.backward_mb = meter.peak_mb(backward)
        except torch.OutOfMemoryError:
            row.note = "out of memory"
    return row


def backend_of(kind: str, backend: str) -> AbstractContextManager:
    """Force the attention kernel; the linear operators have none."""
    return sdpa_kernel(BACKENDS[backend] if kind in ATTENTION else list(BACKENDS.values()))


def spread(times: list[float]) -> float | None:
    """Interquartile range over median."""
    if len(times) < 4:
        return None
    low, middle, high = statistics.quantiles(times, n=4)
    return (high - low) / middle


def operators(
    meter: Meter,
    sides: list[int],
    frames: list[int],
    fixed: tuple[int, int],
    channels: int,
    heads: int,
    dtype: torch.dtype,
) -> list[Row]:
    """Sweep the side at fixed frames, and the frames at a fixed side."""
    side0, frames0 = fixed
    sizes = [(s, frames0) for s in sides] + [(side0, f) for f in frames if f != frames0]
    rows = []
    for kind in KINDS:
        for backend in BACKENDS if kind in ATTENTION else ("none",):
            pace = 0.0  # seconds per pair at the last size
            for side, count in sizes:
                if pace * pairs(kind, side, count) > meter.limit:
                    row = Row("operator", kind, backend, side, count, note="not run: beyond the time limit")
                else:
                    row = operator_row(meter, kind, backend, side, count, channels, heads, dtype)
                    pace = (row.forward or 0) / pairs(kind, side, count)
                rows.append(row)
                print(line(row), flush=True)
    return rows


def end_to_end(
    meter: Meter, side: int, frames: int, channels: tuple[int, ...], dtype: torch.dtype, train: bool
) -> list[Row]:
    """A whole U-Net step with each operator in it; `none` shows what is left without
    any.
    """
    rows = []
    for kind in ("none", "full", "joint", "strip_hv", "strip_hvt"):
        groups = math.gcd(32, *channels)
        levels = tuple(range(max(len(channels) - 1, 1)))
        config = EADNetConfig(
            block_channels=channels,
            attention_levels=levels,
            norm_groups=groups,
            stda=kind,
            tfrm="none",
            emotion="text",
        )
        torch.manual_seed(0)
        model = EADNet(config).to(meter.device, dtype, memory_format=torch.channels_last)
        latents = torch.randn(1, frames, 4, side, side, device=meter.device, dtype=dtype)
        audio = torch.randn(
            1, frames, config.audio_tokens, config.audio_dim, device=meter.device, dtype=dtype
        )
        text = torch.randn(1, 16, config.text_dim, device=meter.device, dtype=dtype)
        inputs = (
            latents,
            torch.tensor([500], device=meter.device),
            latents[:, :, :1],
            latents,
            latents,
            audio,
            text,
        )

        def forward(model: EADNet = model, inputs: tuple = inputs) -> None:
            with torch.no_grad():
                model(*inputs)

        def backward(model: EADNet = model, inputs: tuple = inputs) -> None:
            model(*inputs).sum().backward()

        row = Row("unet", kind, "fused", side, frames)
        try:
            row.forward = statistics.median(meter.seconds(forward))
            row.backward = statistics.median(meter.seconds(backward)) if train else None
            row.note = (
                f"{'/'.join(map(str, channels))} channels, "
                f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters"
            )
        except torch.OutOfMemoryError:
            row.note = "out of memory"
        rows.append(row)
        print(line(row), flush=True)
    return rows


def line(row: Row) -> str:
    """A row of the printed table."""

    def show(value: float | None, scale: float, unit: str) -> str:
        return f"{value * scale:9.1f} {unit}" if value is not None else f"{'-':>9} {unit}"

    times = show(row.forward, 1e3, "ms") + show(row.backward, 1e3, "ms f+b")
    memory = show(row.forward_mb, 1, "MiB") + show(row.backward_mb, 1, "MiB f+b")
    return (
        f"{row.what:8} {row.kind:9} {row.backend:5} "
        f"{row.side:3}x{row.side:<3}x{row.frames:<3}{times}{memory}  {row.note}"
    )


def slope(rows: list[Row], axis: str, value: str) -> float | None:
    """Log-log slope through the two largest sizes."""
    points = sorted((getattr(r, axis), getattr(r, value)) for r in rows if getattr(r, value))[-2:]
    if len(points) < 2:
        return None
    (x0, y0), (x1, y1) = points
    return math.log(y1 / y0) / math.log(x1 / x0)


def conclusions(rows: list[Row], fixed: tuple[int, int]) -> dict:
    """Ratios, slopes, crossover and shares from the measurements."""
    side0, frames0 = fixed
    operator = [r for r in rows if r.what == "operator"]
    found: dict = {"slopes": {}, "ratio_to_joint": {}, "ratio_to_full": {}, "crossover_side": {}, "unet": {}}
    for kind in KINDS:
        for backend in BACKENDS if kind in ATTENTION else ("none",):
            own = [r for r in operator if (r.kind, r.backend) == (kind, backend)]
            by_side, by_frames = [r for r in own if r.frames == frames0], [r for r in own if r.side == side0]
            found["slopes"][f"{kind} {backend}"] = {
                "time over side": slope(by_side, "side", "forward"),
                "time over frames": slope(by_frames, "frames", "forward"),
                "memory over side": slope(by_side, "side", "forward_mb"),
                "memory over frames": slope(by_frames, "frames", "forward_mb"),
            }
    at = {(r.kind, r.backend, r.side, r.frames): r for r in operator}
    for (kind, backend, side, frames), row in at.items():
        for other, name in (("joint", "ratio_to_joint"), ("full", "ratio_to_full")):
            base = at.get((other, backend, side, frames))
            if kind.startswith("strip") and base:
                ratio = {
                    v: getattr(base, v) / getattr(row, v)
                    for v in ("forward", "backward")
                    if getattr(base, v) and getattr(row, v)
                }
                if ratio:
                    found[name][f"{kind} {backend} {side}x{side}x{frames}"] = ratio
    for kind in ("strip_hv", "strip_hvt"):
        wins = [
            s
            for (k, b, s, f), r in at.items()
            if (k, b, f) == (kind, "fused", frames0) and r.forward < at["full", "fused", s, f].forward
        ]
        found["crossover_side"][kind] = min(wins, default=None)
    unet = [r for r in rows if r.what == "unet"]
    for note in dict.fromkeys((r.side, r.frames, r.note.split(" ch")[0]) for r in unet):
        group = {r.kind: r for r in unet if (r.side, r.frames, r.note.split(" ch")[0]) == note}
        bare = group.get("none")
        if bare and bare.forward:
            found["unet"][f"{note[0]}x{note[0]}x{note[1]}, {note[2]}"] = {
                kind: {
                    "step": r.backward or r.forward,
                    "share of the operator": 1 - (bare.backward or bare.forward) / (r.backward or r.forward),
                }
                for kind, r in group.items()
                if r.forward
            }
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--limit",
        type=float,
        default=10.0,
        help="seconds that a single call may take; what would take longer is not run",
    )
    parser.add_argument("--max-mb", type=float, default=4000.0, help="memory that score matrices may take")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/stda.json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    meter = Meter(device, args.threads, args.limit, args.max_mb)
    if device.type == "cuda":
        dtype, channels, heads, fixed = torch.bfloat16, 320, 8, (32, 16)
        sides, frames, nets = (
            [8, 16, 32, 64, 128],
            [4, 8, 16, 32, 64],
            [(32, 16, (320, 640, 1280, 1280)), (64, 16, (320, 640, 1280, 1280))],
        )
    else:
        dtype, channels, heads, fixed = torch.float32, 64, 4, (16, 16)
        sides, frames, nets = (
            [8, 16, 32, 64],
            [4, 8, 16, 32, 64],
            [(16, 8, (48, 96, 128)), (32, 16, (80, 160, 320, 320))],
        )

    rows = operators(meter, sides, frames, fixed, channels, heads, dtype)
    for side, count, widths in nets:
        rows += end_to_end(meter, side, count, widths, dtype, train=device.type == "cuda" or side < 32)
    found = conclusions(rows, fixed)
    machine = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else cpu_name(),
        "threads": args.threads,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "dtype": str(dtype),
        "channels": channels,
        "heads": heads,
        "clock": meter.clock.__name__,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(
        json.dumps({"machine": machine, "conclusions": found, "rows": [asdict(r) for r in rows]}, indent=1)
        + "\n"
    )
    print(json.dumps({"machine": machine, "conclusions": found}, indent=1))
    print(f"written to {args.out}")


def cpu_name() -> str:
    """Model name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    main()
