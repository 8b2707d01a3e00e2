"""Choice of the compute device."""

from eadbench.core.errors import EadbenchError


def pick_device(name: str = "auto"):
    """``auto`` takes a GPU when there is one; ``cpu`` or ``cuda`` is taken or refused.

    Raises:
        EadbenchError: If ``cuda`` is asked for and no GPU is usable.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EadbenchError(
            "no usable GPU",
            f"device: {name}",
            "set `device: cpu` or `auto` in the config, or run where a GPU is",
        )
    return torch.device(name)
