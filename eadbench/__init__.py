"""EAD-Net, an emotion-aware talking-head diffusion model, and the benchmark around it."""

__version__ = "0.1.0"
