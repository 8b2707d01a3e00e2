"""Seeds by name: the same clip gets the same noise whatever the order, the shard or the
number of cores.
"""

import hashlib

import numpy as np


def seed_for(seed: int, *names: object) -> int:
    """Derive a 63-bit seed from the run's seed and a name, e.g.
    ``seed_for(1, "samples", clip_id)``.
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def rng_for(seed: int, *names: object) -> np.random.Generator:
    """A numpy generator for that name."""
    return np.random.default_rng(seed_for(seed, *names))


def torch_generator_for(seed: int, *names: object, device: str = "cpu"):
    """A torch generator for that name. Draw on the CPU and move, so that CPU and GPU
    see the same noise.
    """
    import torch

    return torch.Generator(device).manual_seed(seed_for(seed, *names))
