"""RoI pooling over the pyramid (Detectron2's `ROIPooler` with ROIAlignV2), as two matrix products.

ROIAlign averages bilinear samples on a grid whose rows and columns are independent of each other. So pooling a map F is
`Wy · F · Wxᵀ`, with a small matrix an axis that says how much of each row or column goes into each bin. Forward and backward are
then matrix products, which CPUs do in bf16 at full speed; torchvision's `roi_align`, which gives the same numbers, runs in f32 and
its backward on one core, which was the largest part of a training step.
"""

import torch
from torch import Tensor

from . import boxes as box_ops

# A box of this size, in pixels, is pooled from p4.
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 4
# How many RoIs are pooled at once; it bounds the memory that they take halfway.
CHUNK = 64


def level_of(boxes: Tensor) -> Tensor:
    """0 for p2 to 3 for p5."""
    size = box_ops.area(boxes).sqrt()
    level = torch.floor(CANONICAL_LEVEL + torch.log2(size / CANONICAL_SIZE + 1e-8))
    return level.clamp(2, 5).long() - 2


def axis_weights(start: Tensor, end: Tensor, bins: int, size: int) -> Tensor:
    """[R, bins, size]: the share of each of the `size` rows (or columns) in each bin of RoIs from `start` to `end`, in pixels of the map.

    A bin is sampled once for every pixel that it is long, rounded up; a sample lies between two pixels' centres.
    """
    start, length = start - 0.5, end - start
    bin_length = length / bins
    samples = bin_length.ceil()
    most = max(int(samples.max()), 1)
    i = torch.arange(most, device=start.device)
    offset = (i + 0.5) * (bin_length / samples.clamp(min=1))[:, None]
    first = start[:, None] + torch.arange(bins, device=start.device) * bin_length[:, None]
    at = first[:, :, None] + offset[:, None]
    share = (i < samples[:, None])[:, None] & (at >= -1) & (at <= size)
    share = share / samples.clamp(min=1)[:, None, None]
    at = at.clamp(0, size - 1)
    low = at.floor()
    part = at - low
    low = low.long()
    weights = start.new_zeros(len(start), bins, size)
    weights.scatter_add_(2, low, (1 - part) * share)
    return weights.scatter_add_(2, (low + 1).clamp(max=size - 1), part * share)


def roi_align(feature: Tensor, rois: Tensor, scale: float, bins: int) -> Tensor:
    """Pools `rois` [R, 4] (pixels of the image) from a map [H, W, C] that is `scale` as large as the image: [R, C, bins, bins]."""
    height, width, channels = feature.shape
    rows = feature.reshape(height, width * channels)
    parts = []
    for chunk in (rois * scale).split(CHUNK):
        count = len(chunk)
        wy = axis_weights(chunk[:, 1], chunk[:, 3], bins, height)
        wx = axis_weights(chunk[:, 0], chunk[:, 2], bins, width)
        # [R · bins, H] · [H, W · C] → [R · bins, W, C], then for each of these [bins, W] · [W, C]
        in_rows = (wy.reshape(-1, height) @ rows).reshape(-1, width, channels)
        wx = wx[:, None].expand(-1, bins, -1, -1).reshape(-1, bins, width)
        parts.append(torch.bmm(wx, in_rows).reshape(count, bins, bins, channels))
    return torch.cat(parts).permute(0, 3, 1, 2)


def pool(features: list[Tensor], rois: list[Tensor], strides: tuple[int, ...], bins: int) -> Tensor:
    """Pools each image's `rois` [R, 4] from p2 … p5 [N, C, H, W]: [ΣR, C, bins, bins], in the order in which the RoIs came."""
    parts, places, before = [], [], 0
    # Unbinding a map has one backward, where indexing it image by image would fill and add a whole map's gradient for each; and as
    # the channels stay last, that gradient has the layout that convolutions like.
    maps_of_image = zip(*(feature.permute(0, 2, 3, 1).unbind() for feature in features))
    for boxes, maps in zip(rois, maps_of_image):
        levels = level_of(boxes)
        for level, (feature, stride) in enumerate(zip(maps, strides)):
            rows = (levels == level).nonzero().flatten()
            if len(rows):
                parts.append(roi_align(feature, boxes[rows], 1 / stride, bins))
                places.append(rows + before)
        before += len(boxes)
    if not parts:
        return features[0].new_zeros(0, features[0].shape[1], bins, bins)
    pooled = torch.cat(parts)
    return pooled[torch.argsort(torch.cat(places))]
