"""How a metric is called in print and which way is better; the definitions stand in ``eadbench.scores.metrics``."""

from dataclasses import dataclass

ARROWS = {"up": "↑", "down": "↓", "none": ""}
NAMES = {
    "fid": "FID", "fvd": "FVD", "kid": "KID", "ssim": "SSIM", "psnr": "PSNR", "lpips": "LPIPS", "csim": "CSIM", "sync_c": "Sync (LSE-C)",
    "sync_d": "LSE-D", "acc_emo": "Acc_emo", "m_lmd": "M-LMD", "f_lmd": "F-LMD",
}  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """What print needs of a metric.

    Attributes:
        key: As the config names it: ``name`` or ``name@variant``.
        name: As the scores name it.
        variant: The protocol asked for; ``None`` takes the only one there is.
        label: Name in print.
        direction: ``up``, ``down`` or ``none``.
        unit: Unit, empty for none.
        description: One sentence.
    """

    key: str
    name: str
    variant: str | None
    label: str
    direction: str
    unit: str
    description: str

    @property
    def arrow(self) -> str:
        """Arrow towards better."""
        return ARROWS[self.direction]

    @property
    def heading(self) -> str:
        """Label with arrow and unit."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.label}{unit} {self.arrow}".strip()


def metric(key: str) -> Metric:
    """Look a metric up; one that the registry of the scores lacks is a description without direction."""
    name, _, variant = key.partition("@")
    spec = _registry().get(name)
    label = NAMES.get(name, name.replace("_", " ")) + (f" ({variant})" if variant else "")
    direction = getattr(spec, "direction", None) or "none"
    return Metric(key, name, variant or None, label, direction, getattr(spec, "unit", "") or "", getattr(spec, "description", "") or "")


def _registry() -> dict:
    from eadbench.scores.metrics import METRICS

    return METRICS
