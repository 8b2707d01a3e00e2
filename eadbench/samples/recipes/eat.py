"""EAT without a GPU, without dlib, which only crops images that are not yet cropped
(ours are), and without CLIP, which only its training uses.
"""

import importlib.util
import sys
import types

import torch


def install(options):
    """Replace missing modules; run on a CPU if there is no GPU."""
    if importlib.util.find_spec("dlib") is None:
        module = types.ModuleType("dlib")
        module.get_frontal_face_detector = lambda: None
        sys.modules["dlib"] = module
    if importlib.util.find_spec("clip") is None:
        sys.modules["clip"] = types.ModuleType("clip")
    import dlib

    dlib.shape_predictor = lambda path: None
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *args, **kwargs: self
        torch.nn.Module.cuda = lambda self, *args, **kwargs: self
        torch.Tensor.get_device = lambda self: self.device  # -1 on a CPU, which .to() refuses
