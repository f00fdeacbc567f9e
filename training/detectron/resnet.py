"""ResNet-50, -101 and -152 of any width (Detectron2's `modeling/backbone/resnet.py`), with batch norms that are trained."""

import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ConvNorm(nn.Conv2d):
    """A convolution without bias and its batch norm, which Detectron2 keeps as the convolution's child `norm`."""

    def __init__(self, input: int, output: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(input, output, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(output)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Stem(nn.Module):
    """[N, 3, H, W] → [N, C, H/4, W/4]"""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = ConvNorm(3, channels, 7, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu_(self.conv1(x)), 3, 2, 1)


class Bottleneck(nn.Module):
    def __init__(self, input: int, bottleneck: int, output: int, stride: int, groups: int, stride_in_1x1: bool):
        super().__init__()
        stride1, stride3 = (stride, 1) if stride_in_1x1 else (1, stride)
        self.shortcut = ConvNorm(input, output, 1, stride) if input != output else None
        self.conv1 = ConvNorm(input, bottleneck, 1, stride1)
        self.conv2 = ConvNorm(bottleneck, bottleneck, 3, stride3, groups)
        self.conv3 = ConvNorm(bottleneck, output, 1)
        # A block begins as the identity: training from scratch starts calmly even at a high learning rate.
        nn.init.zeros_(self.conv3.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu_(self.conv1(x))
        y = F.relu_(self.conv2(y))
        y = self.conv3(y)
        return F.relu_(y.add_(self.shortcut(x) if self.shortcut is not None else x))


class ResNet(nn.Module):
    """[N, 3, H, W] → res2 … res5, each [N, C·2ⁱ, H/2ⁱ⁺², W/2ⁱ⁺²]"""

    def __init__(self, cfg):
        super().__init__()
        self.stem = Stem(cfg.STEM_OUT_CHANNELS)
        channels = cfg.STEM_OUT_CHANNELS
        self.channels = []
        for stage, count in enumerate(BLOCKS[cfg.DEPTH]):
            output, bottleneck = cfg.RES2_OUT_CHANNELS << stage, (cfg.NUM_GROUPS * cfg.WIDTH_PER_GROUP) << stage
            blocks = []
            for block in range(count):
                stride = 2 if stage and not block else 1
                blocks.append(Bottleneck(channels, bottleneck, output, stride, cfg.NUM_GROUPS, cfg.STRIDE_IN_1X1))
                channels = output
            self.add_module(f"res{stage + 2}", nn.Sequential(*blocks))
            self.channels.append(channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for stage in (self.res2, self.res3, self.res4, self.res5):
            x = stage(x)
            features.append(x)
        return features
