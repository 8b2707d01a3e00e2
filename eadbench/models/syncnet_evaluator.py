"""SyncNet of Chung & Zisserman (2016), "Out of time: automated lip sync in the wild",
as the evaluator of lip sync.

The layers are those of ``syncnet_python``, under its names, so that its
``syncnet_v2.model`` loads; ``width`` and ``size`` shrink them for the demo.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

WINDOW = 5  # video frames that the network sees at once
MFCC_STEPS = 20  # audio steps (100 Hz) of the same stretch
MFCC_PER_FRAME = 4
SHIFT = 15  # audio is tried this many frames earlier and later
SHORTEST = WINDOW + 1  # fewest frames that give one window, see `score_windows`


class SyncNetV2(nn.Module):
    """Two towers that put 0.2 s of lips and of audio into one space, close together
    when in time.

    Args:
        width: Factor on all channel counts; 1 is the published network.
        size: Side of the square face crops in pixels; 224 is the published one, 64 the
            least.
        dim: Length of the embeddings.
    """

    def __init__(self, width: float = 1.0, size: int = 224, dim: int = 1024) -> None:
        super().__init__()
        self.size = size

        def c(channels: int) -> int:
            return max(8, round(channels * width))

        def conv2(before: int, after: int, kernel: tuple[int, int], padding: int) -> list[nn.Module]:
            return [
                nn.Conv2d(before, after, kernel, padding=padding),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]

        def conv3(
            before: int, after: int, kernel: int, padding: int, stride: int = 1, frames: int = 1
        ) -> list[nn.Module]:
            layer = nn.Conv3d(
                before, after, (frames, kernel, kernel), (1, stride, stride), (0, padding, padding)
            )
            return [layer, nn.BatchNorm3d(after), nn.ReLU(inplace=True)]

        self.netcnnaud = nn.Sequential(
            *conv2(1, c(64), (3, 3), 1),
            nn.MaxPool2d((1, 1), (1, 1)),
            *conv2(c(64), c(192), (3, 3), 1),
            nn.MaxPool2d((3, 3), (1, 2)),
            *conv2(c(192), c(384), (3, 3), 1),
            *conv2(c(384), c(256), (3, 3), 1),
            *conv2(c(256), c(256), (3, 3), 1),
            nn.MaxPool2d((3, 3), (2, 2)),
            *conv2(c(256), c(512), (5, 4), 0),
        )
        self.netcnnlip = nn.Sequential(
            *conv3(3, c(96), 7, 0, stride=2, frames=WINDOW),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *conv3(c(96), c(256), 5, 1, stride=2),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *conv3(c(256), c(256), 3, 1),
            *conv3(c(256), c(256), 3, 1),
            *conv3(c(256), c(256), 3, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *conv3(c(256), c(512), _side_before_last(size), 0),
        )
        self.netfcaud = _head(c(512), dim)
        self.netfclip = _head(c(512), dim)

    def embed_audio(self, mfcc: Tensor) -> Tensor:
        """``(N, 1, 13, 20)`` MFCC to ``(N, dim)``."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def embed_lips(self, windows: Tensor) -> Tensor:
        """``(N, 3, 5, S, S)`` BGR in 0..255 to ``(N, dim)``.

        Apart from the first, all layers look at one moment, so they run as 2-D
        convolutions over channels-last memory, which CPUs do faster; when evaluating,
        batch norms are folded into the convolutions.
        """
        n, channels, frames, side, _ = windows.shape
        x = windows.reshape(n, channels * frames, side, side).contiguous(memory_format=torch.channels_last)
        layers = list(self.netcnnlip)
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(layer, nn.Conv3d):
                weight, bias = layer.weight, layer.bias
                if not self.training:
                    weight, bias = fuse_conv_bn_weights(
                        weight,
                        bias,
                        following.running_mean,
                        following.running_var,
                        following.eps,
                        following.weight,
                        following.bias,
                    )
                x = F.conv2d(
                    x,
                    weight.flatten(1, 2).contiguous(memory_format=torch.channels_last),
                    bias,
                    layer.stride[1:],
                    layer.padding[1:],
                )
            elif isinstance(layer, nn.BatchNorm3d):
                if self.training:
                    x = F.batch_norm(
                        x,
                        layer.running_mean,
                        layer.running_var,
                        layer.weight,
                        layer.bias,
                        True,
                        layer.momentum,
                        layer.eps,
                    )
            elif isinstance(layer, nn.MaxPool3d):
                padding = layer.padding if isinstance(layer.padding, int) else layer.padding[1:]
                x = F.max_pool2d(x, layer.kernel_size[1:], layer.stride[1:], padding)
            else:
                x = layer(x)
        return self.netfclip(x.flatten(1))


def _head(channels: int, dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, channels), nn.BatchNorm1d(channels), nn.ReLU(), nn.Linear(channels, dim)
    )


def _side_before_last(size: int) -> int:
    """Side of the feature map that the last convolution of the lip tower covers whole:
    6 for 224 pixels.
    """
    side = (size - 7) // 2 + 1
    side = (side - 3) // 2 + 1
    side = (side + 2 - 5) // 2 + 1
    side = (side + 2 - 3) // 2 + 1
    side = (side - 3) // 2 + 1
    if side < 1:
        raise ValueError(f"crops of {size} pixels are too small for SyncNet; 64 is the least")
    return side


def window_count(frames: int, samples: int) -> int:
    """Windows that the original evaluates: one fewer than there are, of the shorter of
    video and audio (16 kHz, 640 samples per frame).
    """
    return min(frames, samples // 640) - WINDOW


def distances_around(lips: Tensor, audio: Tensor, shift: int = SHIFT) -> Tensor:
    """Distances ``(T, 2 * shift + 1)`` of windows ``(T, D)`` of lips to those
    ``(T + 2 * shift, D)`` of audio, which begin ``shift`` earlier.
    """
    around = audio.unfold(0, 2 * shift + 1, 1)  # (T, D, shifts)
    return (lips[:, :, None] - around + 1e-6).norm(dim=1)  # 1e-6: as torch's pairwise_distance


def sync_from_distances(distances: Tensor) -> dict[str, float]:
    """Offset (frames, positive when the audio leads), LSE-C (``confidence``) and LSE-D
    (``min_distance``) as ``syncnet_python`` defines them.
    """
    mean = distances.mean(0)
    least, place = mean.min(0)
    shift = (distances.shape[1] - 1) // 2
    return {
        "offset": float(shift - int(place)),
        "confidence": float(mean.median() - least),
        "min_distance": float(least),
    }
