"""Pages of the store as the network's input: cut, resized and changed for a whole batch on the GPU."""

import torch
import torch.nn.functional as F
from torch import Tensor

from detectron.boxes import constant

LUMA = (0.299, 0.587, 0.114)
BLUR = (0.25, 0.5, 0.25)


def axis_weights(start: Tensor, length: Tensor, output: Tensor, size: int, source: int) -> Tensor:
    """[N, size, source]: how much of each row (or column) of the store goes into each of the network's, whose first `output` [N] ones show
    `length` [N] rows of the store from `start` [N] on.

    Pillow's bilinear filter, as docreader and Detectron2 resize with it: a triangle as wide as two pixels of the coarser side.
    """
    start, length, output = (value[:, None, None] for value in (start, length, output))
    to = torch.arange(size, device=start.device)[:, None]
    of = torch.arange(source, device=start.device) + 0.5
    step = length / output
    centre = start + (to + 0.5) * step
    weights = (1 - (of - centre).abs() / step.clamp(min=1)).clamp(min=0)
    weights = weights * ((of > start) & (of < start + length) & (to < output))
    return weights / weights.sum(2, keepdim=True).clamp(min=1e-6)


def resample(pixels: Tensor, windows: Tensor, sizes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Bytes [N, 3, S, S] → [N, 3, *shape] from 0 to 255: of each image the window (x, y, width, height) [N, 4], resized to its size
    (height, width) [N, 2], in the top left corner."""
    # Bytes are exact in half precision, and a product of half precision sums in single precision.
    dtype = torch.float16 if pixels.is_cuda else torch.float32
    x, y, width, height = windows.unbind(1)
    down = axis_weights(y, height, sizes[:, 0], shape[0], pixels.shape[2]).to(dtype)
    across = axis_weights(x, width, sizes[:, 1], shape[1], pixels.shape[3]).to(dtype)
    return (down[:, None] @ pixels.to(dtype) @ across.transpose(1, 2)[:, None]).float()


def change(x: Tensor, looks: dict[str, Tensor]) -> Tensor:
    """Other colours and another sharpness. `looks` has for each image: tint [N, 3], contrast, blur (below 0: sharper), noise (levels), and
    grey and invert (0 or 1), each [N]."""
    def of(name: str) -> Tensor:
        return looks[name].view(len(x), -1, 1, 1)

    luma = (x * constant(LUMA, x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    x = torch.lerp(x, luma.expand_as(x), of("grey"))
    kernel = constant(BLUR, x.device)
    kernel = (kernel[:, None] * kernel).expand(3, 1, 3, 3).contiguous()
    x = torch.lerp(x, F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=3), of("blur"))
    x = ((x - 128) * of("contrast") + 128) * of("tint")
    x = x + torch.randn_like(x[:, :1]) * of("noise")
    x = x.clamp(0, 255)
    return torch.lerp(x, 255 - x, of("invert"))


def normalise(x: Tensor, sizes: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """As `GeneralizedRCNN` does it: 0 where there is no page, the channels last."""
    inside_y = torch.arange(x.shape[2], device=x.device) < sizes[:, :1]
    inside_x = torch.arange(x.shape[3], device=x.device) < sizes[:, 1:]
    x = (x - mean) / std * (inside_y[:, None, :, None] & inside_x[:, None, None, :])
    return x.contiguous(memory_format=torch.channels_last)
