"""Feature pyramid on a ResNet (Detectron2's `modeling/backbone/fpn.py`, `build_resnet_fpn_backbone`)."""

import torch.nn.functional as F
from torch import Tensor, nn

from .resnet import ResNet

STRIDES = (4, 8, 16, 32, 64)
# The sides of the network's input must be multiples of this.
SIZE_DIVISIBILITY = 32


def _conv(input: int, output: int, kernel: int) -> nn.Conv2d:
    conv = nn.Conv2d(input, output, kernel, padding=kernel // 2)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    nn.init.zeros_(conv.bias)
    return conv


class Fpn(nn.Module):
    """[N, 3, H, W] → p2 … p6, each [N, C, H/stride, W/stride]"""

    def __init__(self, cfg):
        super().__init__()
        self.bottom_up = ResNet(cfg.RESNETS)
        channels = cfg.FPN.OUT_CHANNELS
        for level, input in enumerate(self.bottom_up.channels, start=2):
            self.add_module(f"fpn_lateral{level}", _conv(input, channels, 1))
            self.add_module(f"fpn_output{level}", _conv(channels, channels, 3))

    def forward(self, x: Tensor) -> list[Tensor]:
        features, above = [], None
        for level, bottom_up in reversed(list(enumerate(self.bottom_up(x), start=2))):
            merged = getattr(self, f"fpn_lateral{level}")(bottom_up)
            if above is not None:
                merged = merged + F.interpolate(above, scale_factor=2, mode="nearest")
            features.insert(0, getattr(self, f"fpn_output{level}")(merged))
            above = merged
        features.append(F.max_pool2d(features[-1], 1, 2))
        return features
