"""Weights of Stable Diffusion 1.5 for EAD-Net's spatial layers.

Every tensor of the source is either mapped or listed as unused with the reason; every
tensor of EAD-Net is either filled or listed as new.
"""

import re
from dataclasses import dataclass, field

import torch

from eadbench.models.eadnet import EADNet

# Names of a diffusers `UNet2DConditionModel` within a transformer block -> ours.
RENAMES = (
    (r"\.transformer_blocks\.0\.norm1\.", ".stda.row.norm."),
    (r"\.transformer_blocks\.0\.attn1\.to_out\.0\.", ".stda.row.to_out."),
    (r"\.transformer_blocks\.0\.attn1\.", ".stda.row."),
    (r"\.transformer_blocks\.0\.norm2\.", ".cross.norm."),
    (r"\.transformer_blocks\.0\.attn2\.to_out\.0\.", ".cross.to_out."),
    (r"\.transformer_blocks\.0\.attn2\.to_q\.", ".cross.to_q."),
    (r"\.transformer_blocks\.0\.norm3\.", ".ff_norm."),
    (r"\.transformer_blocks\.0\.ff\.", ".ff."),
)
TEXT_KEYS = re.compile(r"\.attn2\.to_[kv]\.")


@dataclass
class MappingReport:
    """What became of each tensor.

    Attributes:
        mapped: Name in Stable Diffusion to name in EAD-Net.
        unused: Name in Stable Diffusion to the reason.
        new: Tensors of EAD-Net that Stable Diffusion does not fill; they keep their
            initial values.
    """

    mapped: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)


def load_sd_weights(model: EADNet, state: dict[str, torch.Tensor]) -> MappingReport:
    """Fill an EAD-Net of Stable Diffusion's shape.

    The projections of ``attn1`` go to the first strip (or to full attention, which then
    does what it did in Stable Diffusion; elsewhere the last of them is left out, since
    strips do something else, and start at zero). The input convolution gets zeros for the
    mask and the two other latents.

    Args:
        model: Changed in place.
        state: State of a diffusers `UNet2DConditionModel` of SD 1.5's topology.

    Raises:
        ValueError: If a tensor has no counterpart or another shape.
    """
    own = model.state_dict()
    report = MappingReport()
    filled: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if TEXT_KEYS.search(name):
            report.unused[name] = (
                "keys and values for CLIP's text states; EAD-Net attends to Whisper and T5 states"
            )
            continue
        target = _rename(name)
        if target not in own and ".stda.row." in target:
            report.unused[name] = f"STDA {model.config.stda!r} has no strip of that name"
            continue
        if ".stda.row.to_out." in target and model.config.stda != "full":
            report.unused[name] = f"STDA {model.config.stda!r} starts at zero"
            continue
        if target not in own:
            raise ValueError(f"no counterpart in EAD-Net for {name}")
        filled[target] = _fit(tensor, own[target].shape, name)
        report.mapped[name] = target
    report.new = [name for name in own if name not in filled]
    model.load_state_dict(filled, strict=False)
    return report


def _rename(name: str) -> str:
    for pattern, ours in RENAMES:
        name = re.sub(pattern, ours, name)
    return name


def _fit(tensor: torch.Tensor, shape: torch.Size, name: str) -> torch.Tensor:
    """1x1 convolutions become linear; the input convolution gets zeros for the added
    channels.
    """
    if tensor.dim() == 4 and len(shape) == 2:
        tensor = tensor.flatten(1)
    if name == "conv_in.weight" and tensor.shape[1] < shape[1]:
        tensor = torch.cat(
            (tensor, tensor.new_zeros(tensor.shape[0], shape[1] - tensor.shape[1], *tensor.shape[2:])), dim=1
        )
    if tensor.shape != shape:
        raise ValueError(f"{name}: shape {tuple(tensor.shape)} where EAD-Net has {tuple(shape)}")
    return tensor
