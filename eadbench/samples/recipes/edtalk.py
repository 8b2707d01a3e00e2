"""EDTalk without a GPU, without moviepy where it is not installed (its super-resolution
alone uses it), and with NumPy from 1.24 on.
"""

import importlib.util
import sys
import types

import numpy as np
import torch


def install(options):
    """Replace missing modules and names; run on a CPU if there is no GPU."""
    if importlib.util.find_spec("moviepy") is None:
        for name in ("moviepy", "moviepy.editor"):
            sys.modules[name] = types.ModuleType(name)
    if "float" not in vars(np):
        np.float = float
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *args, **kwargs: self
        torch.nn.Module.cuda = lambda self, *args, **kwargs: self
