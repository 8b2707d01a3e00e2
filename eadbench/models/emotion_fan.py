"""Emotion-FAN (Meng et al. 2019, "Frame attention networks for facial expression
recognition in videos"): which emotion a video shows.

A ResNet-18 per frame, attention over frames, one class per video. Parameter names
follow the released code, so that its checkpoints load, as does that of EAT's
evaluation, which tuned it on MEAD with eight classes.
"""

import torch
from torch import Tensor, nn

# Order of the eight heads in EAT's MEAD checkpoint, in the common vocabulary.
MEAD_CLASSES = ("happy", "angry", "disgust", "fear", "sad", "neutral", "surprise", "contempt")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016), named as torchvision's,
    whose import takes as long as torch's.
    """

    def __init__(self, before: int, after: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + shortcut)


class ResNet18Trunk(nn.Module):
    """ResNet-18 up to its pooled features; ``width`` scales the channels (1 is the
    usual 64 to 512).
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        first, *later = (max(8, round(c * width)) for c in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(3, first, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(first, first, 1)
        self.layer2 = _stage(first, later[0], 2)
        self.layer3 = _stage(later[0], later[1], 2)
        self.layer4 = _stage(later[1], later[2], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dim = later[2]

    def features(self, x: Tensor) -> Tensor:
        """``(N, 3, S, S)`` to ``(N, dim)``."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.avgpool(x).flatten(1)


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    down = None
    if stride != 1 or before != after:
        down = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
    return nn.Sequential(BasicBlock(before, after, stride, down), BasicBlock(after, after))


class EmotionFAN(ResNet18Trunk):
    """Self- and relation-attention over the frames of a video.

    Args:
        classes: Number of emotions.
        width: Factor on the trunk's channels; 1 is the published network.
        released_evaluation: The released code divides by sum(alpha * beta) when it
            evaluates but weights the frames by alpha alone; to reproduce its numbers,
            so must we. Networks trained here weight by alpha * beta, as its training
            does.
        dropout: Of the attentions' inputs and, a fifth higher, of the pooled features;
            0.5 is the published network's.
    """

    def __init__(
        self, classes: int, width: float = 1.0, released_evaluation: bool = False, dropout: float = 0.5
    ) -> None:
        super().__init__(width)
        self.released_evaluation = released_evaluation
        self.dropout, self.dropout2 = nn.Dropout(dropout), nn.Dropout(1.2 * dropout)
        self.alpha = nn.Sequential(nn.Linear(self.dim, 1), nn.Sigmoid())
        self.beta = nn.Sequential(nn.Linear(2 * self.dim, 1), nn.Sigmoid())
        self.pred_fc1 = nn.Linear(self.dim, classes)
        self.pred_fc2 = nn.Linear(2 * self.dim, classes)

    def classify(self, features: Tensor) -> Tensor:
        """Logits ``(B, classes)`` of videos given as frame features ``(B, T, dim)``."""
        alpha = self.alpha(self.dropout(features))
        mean = (alpha * features).sum(1, keepdim=True) / alpha.sum(1, keepdim=True)
        both = torch.cat([features, mean.expand_as(features)], -1)
        beta = self.beta(self.dropout(both))
        weight = alpha if self.released_evaluation and not self.training else alpha * beta
        pooled = (weight * both).sum(1) / (alpha * beta).sum(1)
        return self.pred_fc2(self.dropout2(pooled))

    def forward(self, videos: Tensor) -> Tensor:
        """``(B, T, 3, S, S)`` RGB in [0, 1] to logits ``(B, classes)``."""
        batch, frames = videos.shape[:2]
        return self.classify(self.features(videos.flatten(0, 1)).unflatten(0, (batch, frames)))
