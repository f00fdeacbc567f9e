"""Box head (Detectron2's `StandardROIHeads`, `FastRCNNConvFCHead`, `FastRCNNOutputLayers`)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_iou

from . import boxes, matching
from .fpn import STRIDES
from .pooler import pool


@dataclass
class Instances:
    """What was found in one image, best first: boxes [N, 4], scores [N], classes [N]."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor


class BoxHead(nn.Sequential):
    """[N, C, R, R] → [N, D]"""

    def __init__(self, cfg, channels: int):
        super().__init__()
        width = channels * cfg.POOLER_RESOLUTION**2
        for i in range(1, cfg.NUM_FC + 1):
            fc = nn.Linear(width, cfg.FC_DIM)
            nn.init.kaiming_uniform_(fc.weight, a=1)
            nn.init.zeros_(fc.bias)
            self.add_module(f"fc{i}", fc)
            self.add_module(f"relu{i}", nn.ReLU())
            width = cfg.FC_DIM

    def forward(self, pooled: Tensor) -> Tensor:
        return super().forward(pooled.flatten(1))


class BoxPredictor(nn.Module):
    """[N, D] → class logits [N, K + 1], background last, and deltas [N, K, 4]"""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.cls_score = nn.Linear(width, classes + 1)
        self.bbox_pred = nn.Linear(width, classes * 4)
        for layer, std in ((self.cls_score, 0.01), (self.bbox_pred, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.cls_score(x).float(), self.bbox_pred(x).float().unflatten(1, (-1, 4))


class RoiHeads(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg, self.head_cfg = cfg.ROI_HEADS, cfg.ROI_BOX_HEAD
        self.box_head = BoxHead(cfg.ROI_BOX_HEAD, cfg.FPN.OUT_CHANNELS)
        self.box_predictor = BoxPredictor(cfg.ROI_BOX_HEAD.FC_DIM, cfg.ROI_HEADS.NUM_CLASSES)

    def forward(self, features: list[Tensor], proposals: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Class logits and deltas of all images' proposals, one after the other."""
        pooled = pool(features[:4], proposals, STRIDES[:4], self.head_cfg.POOLER_RESOLUTION)
        return self.box_predictor(self.box_head(pooled))

    def losses(self, features, proposals: list[Tensor], truth: list[Tensor], truth_classes: list[Tensor]) -> dict[str, Tensor]:
        chosen = [self._choose(*image) for image in zip(proposals, truth, truth_classes)]
        rois, classes, targets = (list(part) for part in zip(*chosen))
        logits, deltas = self(features, rois)
        classes, rois, targets = torch.cat(classes), torch.cat(rois), torch.cat(targets)
        foreground = (classes < self.cfg.NUM_CLASSES).nonzero().flatten()
        wanted = boxes.encode(rois[foreground], targets[foreground], self.head_cfg.BBOX_REG_WEIGHTS)
        shift = F.l1_loss(deltas[foreground, classes[foreground]], wanted, reduction="sum") / max(len(classes), 1)
        with torch.no_grad():
            right = (logits[foreground].argmax(1) == classes[foreground]).float().mean()
        return {
            "box_cls": F.cross_entropy(logits, classes),
            "box_reg": shift * self.head_cfg.BBOX_REG_LOSS_WEIGHT,
            "fg_accuracy": right,
        }

    @torch.no_grad()
    def _choose(self, proposals: Tensor, truth: Tensor, truth_classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The proposals of one image that are learnt from, their classes (K for background) and the boxes that they should be."""
        cfg = self.cfg
        if cfg.PROPOSAL_APPEND_GT:
            proposals = torch.cat([proposals, truth])
        if len(truth):
            best, match = box_iou(truth, proposals).max(0)
            labels = matching.label(best, cfg.IOU_THRESHOLDS[0], cfg.IOU_THRESHOLDS[0])
            target = truth[match]
        else:
            labels = torch.zeros(len(proposals), dtype=torch.long, device=proposals.device)
            target = proposals
        positive, negative = matching.sample(labels, cfg.BATCH_SIZE_PER_IMAGE, cfg.POSITIVE_FRACTION)
        classes = torch.full((len(positive) + len(negative),), cfg.NUM_CLASSES, device=proposals.device)
        if len(positive):
            classes[: len(positive)] = truth_classes[match[positive]]
        chosen = torch.cat([positive, negative])
        return proposals[chosen], classes, target[chosen]

    def select(self, proposals: Tensor, logits: Tensor, deltas: Tensor, size: tuple[int, int], threshold: float, topk: int) -> Instances:
        """Every box and class with a score above `threshold`, suppressed class by class."""
        scores = logits.softmax(1)
        usable = scores.isfinite().all(1) & deltas.isfinite().flatten(1).all(1)
        decoded = boxes.clip(boxes.decode(deltas, proposals[:, None], self.head_cfg.BBOX_REG_WEIGHTS), size)
        row, found = ((scores[:, :-1] > threshold) & usable[:, None]).nonzero(as_tuple=True)
        decoded, scores = decoded[row, found], scores[row, found]
        kept = batched_nms(decoded, scores, found, self.cfg.NMS_THRESH_TEST)[:topk]
        return Instances(decoded[kept], scores[kept], found[kept])
