"""The whole network (Detectron2's `GeneralizedRCNN`)."""

import torch
from PIL import Image
from torch import Tensor, nn

from . import image as images
from .fpn import SIZE_DIVISIBILITY, Fpn
from .roi_heads import Instances, RoiHeads
from .rpn import Rpn


class GeneralizedRCNN(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.backbone = Fpn(cfg.MODEL)
        self.proposal_generator = Rpn(cfg.MODEL)
        self.roi_heads = RoiHeads(cfg.MODEL)
        for name, values in (("pixel_mean", cfg.MODEL.PIXEL_MEAN), ("pixel_std", cfg.MODEL.PIXEL_STD)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)

    def forward(self, batch: Tensor, sizes: list[tuple[int, int]], truth: list[Tensor], classes: list[Tensor]) -> dict[str, Tensor]:
        """Losses of a batch [N, 3, H, W] of bytes; the images' own heights and widths are `sizes`, their boxes `truth` and `classes`.

        `fg_accuracy` is among them, which is a figure to watch and no loss.
        """
        features = self.backbone(self._normalise(batch, sizes))
        proposals, losses = self.proposal_generator(features, sizes, truth)
        return losses | self.roi_heads.losses(features, proposals, truth, classes)

    @torch.no_grad()
    def detect(self, page: Image.Image, threshold: float | None = None) -> Instances:
        """What is on a page, in its own pixels, as docreader's `app detect` finds it."""
        cfg = self.cfg
        resized = images.resize(page, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
        size = (resized.height, resized.width)
        padded = [-(-side // SIZE_DIVISIBILITY) * SIZE_DIVISIBILITY for side in size]
        batch = torch.zeros(1, 3, *padded, dtype=torch.uint8)
        batch[0, :, : size[0], : size[1]] = images.to_tensor(resized, cfg.INPUT.FORMAT)
        features = self.backbone(self._normalise(batch.to(self.pixel_mean.device), [size]))
        (proposals,), _ = self.proposal_generator(features, [size])
        logits, deltas = self.roi_heads(features, [proposals])
        threshold = cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST if threshold is None else threshold
        found = self.roi_heads.select(proposals, logits, deltas, size, threshold, cfg.TEST.DETECTIONS_PER_IMAGE)
        found.boxes *= found.boxes.new_tensor([page.width / size[1], page.height / size[0]]).repeat(2)
        return found

    def _normalise(self, batch: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        x = ((batch.float() - self.pixel_mean) / self.pixel_std).contiguous(memory_format=torch.channels_last)
        for image, (height, width) in zip(x, sizes):
            image[:, height:] = 0
            image[:, :, width:] = 0
        return x
