"""How deep the large networks of a rehearsal are: as published where the memory
suffices, else fewer blocks of the same widths; or narrow, where the jobs are rehearsed
and not their sizes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eadbench.models.config import EADNetConfig

GIB = 1 << 30
CHANNELS = (320, 640, 1280, 1280)
NARROW, NARROW_VAE = (32, 64, 128, 128), (32, 32, 64, 64)
WHAT = {
    "full": "full depth",
    "half": "one residual block per level instead of two",
    "least": "one residual block per level instead of two, three levels of four",
    "narrow": "one residual block per level, a tenth as wide: the jobs, not their sizes",
}
KEEPING_WIDTHS = ("full", "half", "least")
COPIES = 5  # weights, gradients, two moments and the moving average, in float32
# GiB for one window with gradient checkpointing: 14 GB were measured at full depth,
# weights and gradients among them
BESIDE = 5.3


@dataclass(frozen=True)
class Depth:
    """One of :data:`WHAT`, and a line that tells it with the number that decided."""

    name: str
    told: str

    @property
    def channels(self) -> tuple[int, ...]:
        return {"least": CHANNELS[:3], "narrow": NARROW}.get(self.name, CHANNELS)

    @property
    def model(self) -> dict[str, Any]:
        """Overrides of ``training.model``."""
        if self.name == "full":
            return {}
        attention = list(range(len(self.channels) - 1))
        return {"layers_per_block": 1, "block_channels": list(self.channels), "attention_levels": attention}

    def gib(self, run: dict[str, Any]) -> float:
        """Memory of a training process with batches of one window, for a run whose
        ``model:`` is given.
        """
        return COPIES * 4 * EADNetConfig.model_validate(run | self.model).parameters / GIB + BESIDE

    def options(self, name: str) -> dict[str, Any]:
        """How the weights of a published id are written."""
        if self.name == "full":
            return {}
        if name == "sd15-unet":
            return {"depth": 1, "channels": list(self.channels)}
        if self.name != "narrow":
            return {"depth": 1} if name.startswith("Qwen") else {}
        if name == "sd-vae-ft-mse":
            return {"depth": 1, "channels": list(NARROW_VAE)}
        return {"depth": 1, "narrow": True} if name.startswith("Qwen") else {"depth": 1}


def available_gib() -> float:
    """Memory that a process can still have."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024 / GIB


def choose(wanted: str, run: dict[str, Any]) -> Depth:
    """The depth asked for; ``auto``: the largest with which a run whose ``model:`` is
    given fits into the free memory.

    Raises:
        SystemExit: If there is no such depth.
    """
    free = available_gib()
    name = (
        next((one for one in KEEPING_WIDTHS if Depth(one, "").gib(run) < free), "least")
        if wanted == "auto"
        else wanted
    )
    if name not in WHAT:
        raise SystemExit(f"--depth {wanted}: known are auto, {', '.join(WHAT)}")
    told = (
        f"{WHAT[name]}: training stage 2 needs about {Depth(name, '').gib(run):.0f} GiB, free are {free:.0f}"
    )
    return Depth(
        name, told if name == "full" else f"{told}; at full depth it needs {Depth('full', '').gib(run):.0f}"
    )
