"""`GeneralizedRCNN`'s losses for a whole batch at once, in shapes that do not depend on the data.

The same network, anchors, matching, sampling, coding and losses as in detectron/, which takes the images one after the other: on a GPU that
would wait for the host at every step. Here boxes are padded to [N, G], samples and proposals are picked by top-k over keys, and
nothing is read back.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from detectron import boxes as box_ops
from detectron import matching
from detectron.anchors import iou_of
from detectron.fpn import STRIDES
from detectron.pooler import level_of
from detectron.rcnn import GeneralizedRCNN

# So many rounds settle which boxes suppress which; a longer chain of boxes that hide each other is cut there.
ROUNDS = 24
# Where no box is wanted: it is pooled at little cost, and its code is finite.
NOWHERE = (0.0, 0.0, 8.0, 8.0)


class Dense(nn.Module):
    """The part that has fixed shapes and nearly all of the arithmetic: what is compiled."""

    def __init__(self, model: GeneralizedRCNN):
        super().__init__()
        self.backbone, self.rpn_head = model.backbone, model.proposal_generator.rpn_head

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """[N, 3, H, W] → p2 … p6, logits [N, H·W·A] and deltas [N, H·W·A, 4] of each level."""
        features = self.backbone(x)
        logits, deltas = zip(*(self.rpn_head(feature) for feature in features))
        return features, list(logits), list(deltas)


class Batched:
    """Losses of `model` for batches; `dense` may be replaced by its compiled form."""

    def __init__(self, model: GeneralizedRCNN):
        self.cfg, self.heads = model.cfg.MODEL, model.roi_heads
        self.dense = Dense(model)
        self.levels = model.proposal_generator.levels
        self.device = model.pixel_mean.device
        for level in self.levels:
            level.cells = level.cells.to(self.device)
        self._grids: dict[tuple, list[Tensor]] = {}

    def losses(self, x: Tensor, sizes: Tensor, truth: Tensor, classes: Tensor, dense=None) -> dict[str, Tensor]:
        """Of normalised images x [N, 3, H, W] whose own sizes (height, width) are [N, 2], with boxes [N, G, 4] and classes [N, G].

        A class of -1 means that there is no box.
        """
        features, logits, deltas = (self.dense if dense is None else dense)(x)
        maps = [tuple(feature.shape[-2:]) for feature in features]
        grids = self._anchors(maps)
        real = classes >= 0
        losses = self._rpn_losses(torch.cat(logits, 1), torch.cat(deltas, 1), maps, torch.cat(grids), truth, real)
        with torch.no_grad():
            proposals, usable = self.proposals(logits, deltas, grids, sizes)
            rois, wanted, targets, counts = self.choose(proposals, usable, truth, classes)
        return losses | self._box_losses(features, rois, wanted, targets, counts)

    def _anchors(self, maps) -> list[Tensor]:
        key = tuple(maps)
        if key not in self._grids:
            self._grids[key] = [level.grid(*size) for level, size in zip(self.levels, maps)]
        return self._grids[key]

    @torch.no_grad()
    def match(self, maps, truth: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """`matching.match_anchors` for a batch: labels and indices into the truth, both [N, anchors]."""
        count, most = truth.shape[:2]
        # A padded box has no area, so it shares nothing with any anchor.
        flat = (truth * real[..., None]).flatten(0, 1)
        shares = [level.shares(*size, flat).view(count, most, -1) for level, size in zip(self.levels, maps)]
        best_of_truth = torch.stack([share.amax(2) for share in shares]).amax(0)
        best_of_truth = torch.where(real & (best_of_truth > 0), best_of_truth, 2.0)
        labels, matches = [], []
        for share in shares:
            best, match = share.max(1)
            label = matching.label(iou_of(best), *self.cfg.RPN.IOU_THRESHOLDS)
            is_best = (share == best_of_truth[..., None]).any(1)
            labels.append(torch.where(is_best, matching.FOREGROUND, label))
            matches.append(match)
        return torch.cat(labels, 1), torch.cat(matches, 1)

    def _rpn_losses(self, logits: Tensor, deltas: Tensor, maps, anchors: Tensor, truth: Tensor, real: Tensor) -> dict[str, Tensor]:
        cfg = self.cfg.RPN
        with torch.no_grad():
            labels, matches = self.match(maps, truth, real)
            at, valid, positive = sample(labels, cfg.BATCH_SIZE_PER_IMAGE, cfg.POSITIVE_FRACTION)
            sources = anchors[at]
            targets = torch.where(positive[..., None], rows(truth, matches.gather(1, at)), sources)
            wanted = box_ops.encode(sources, targets, cfg.BBOX_REG_WEIGHTS)
        objectness = F.binary_cross_entropy_with_logits(logits.gather(1, at).float(), positive.float(), reduction="none")
        shift = (rows(deltas, at).float() - wanted).abs().sum(-1)
        scale = cfg.LOSS_WEIGHT / (cfg.BATCH_SIZE_PER_IMAGE * len(truth))
        return {
            "rpn_cls": (objectness * valid).sum() * scale,
            "rpn_loc": (shift * positive).sum() * (scale * cfg.BBOX_REG_LOSS_WEIGHT),
        }

    @torch.no_grad()
    def proposals(self, logits: list[Tensor], deltas: list[Tensor], grids: list[Tensor], sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [N, P, 4], best first, and which of them are proposals [N, P]."""
        cfg, least = self.cfg.RPN, self.cfg.PROPOSAL_GENERATOR.MIN_SIZE
        limit = sizes.flip(1).repeat(1, 2)[:, None].float()
        scores, candidates = [], []
        for logit, delta, grid in zip(logits, deltas, grids):
            score, at = logit.float().topk(min(cfg.PRE_NMS_TOPK_TRAIN, logit.shape[1]), dim=1)
            box = box_ops.decode(rows(delta, at), grid[at], cfg.BBOX_REG_WEIGHTS)
            usable = box.isfinite().all(-1) & score.isfinite()
            box = torch.minimum(box.nan_to_num().clamp(min=0), limit)
            usable &= ((box[..., 2:] - box[..., :2]) > least).all(-1)
            scores.append(torch.where(unsuppressed(box, usable, cfg.NMS_THRESH), score, -torch.inf))
            candidates.append(box)
        scores, candidates = torch.cat(scores, 1), torch.cat(candidates, 1)
        best, at = scores.topk(min(cfg.POST_NMS_TOPK_TRAIN, scores.shape[1]), dim=1)
        return rows(candidates, at), best > -torch.inf

    @torch.no_grad()
    def choose(self, proposals: Tensor, usable: Tensor, truth: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the box head learns from: RoIs [N, S, 4], their classes [N, S] (K is background), the boxes that they should be, and whether
        they count."""
        cfg = self.cfg.ROI_HEADS
        if cfg.PROPOSAL_APPEND_GT:
            proposals, usable = torch.cat([proposals, truth], 1), torch.cat([usable, classes >= 0], 1)
        overlaps = torch.where((classes >= 0)[..., None], pairwise_iou(truth, proposals), -1.0)
        best, match = overlaps.max(1)
        labels = matching.label(best, cfg.IOU_THRESHOLDS[0], cfg.IOU_THRESHOLDS[0])
        labels = torch.where(usable, labels, matching.IGNORED)
        at, valid, positive = sample(labels, cfg.BATCH_SIZE_PER_IMAGE, cfg.POSITIVE_FRACTION)
        match = match.gather(1, at)
        wanted = torch.where(positive, classes.gather(1, match), cfg.NUM_CLASSES)
        rois = torch.where(valid[..., None], rows(proposals, at), box_ops.constant(NOWHERE, proposals.device))
        return rois, wanted, torch.where(positive[..., None], rows(truth, match), rois), valid

    def _box_losses(self, features: list[Tensor], rois: Tensor, wanted: Tensor, targets: Tensor, counts: Tensor) -> dict[str, Tensor]:
        cfg, classes = self.cfg.ROI_BOX_HEAD, self.cfg.ROI_HEADS.NUM_CLASSES
        pooled = pool(features[:4], rois, cfg.POOLER_RESOLUTION)
        logits, deltas = self.heads.box_predictor(self.heads.box_head(pooled))
        wanted, counts, rois, targets = wanted.flatten(), counts.flatten().float(), rois.flatten(0, 1), targets.flatten(0, 1)
        foreground = (wanted < classes).float()
        number = counts.sum().clamp(min=1)
        delta = rows(deltas, wanted.clamp(max=classes - 1)[:, None])[:, 0]
        shift = (delta - box_ops.encode(rois, targets, cfg.BBOX_REG_WEIGHTS)).abs().sum(-1)
        with torch.no_grad():
            right = ((logits.argmax(1) == wanted) * foreground).sum() / foreground.sum().clamp(min=1)
        return {
            "box_cls": (F.cross_entropy(logits, wanted, reduction="none") * counts).sum() / number,
            "box_reg": (shift * foreground).sum() / number * cfg.BBOX_REG_LOSS_WEIGHT,
            "fg_accuracy": right,
        }


def rows(values: Tensor, at: Tensor) -> Tensor:
    """values[n, at[n]] of [N, M, 4] for at [N, S]: [N, S, 4]"""
    return values.gather(1, at[..., None].expand(-1, -1, values.shape[-1]))


def sample(labels: Tensor, count: int, fraction: float) -> tuple[Tensor, Tensor, Tensor]:
    """`matching.sample` for labels [N, M]: indices [N, S], which of them are samples at all, and which are foreground."""
    count, most = min(count, labels.shape[1]), min(int(count * fraction), labels.shape[1])
    keys = torch.rand(labels.shape, device=labels.device)
    foreground = labels == matching.FOREGROUND
    least = torch.where(foreground, keys, -1.0).topk(most, dim=1).values[:, -1:]
    keys = torch.where(foreground, torch.where(keys >= least, keys + 2, -1.0), torch.where(labels == matching.BACKGROUND, keys, -1.0))
    keys, at = keys.topk(count, dim=1)
    return at, keys >= 0, keys >= 2


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """[N, A, 4] and [N, B, 4] → [N, A, B]; two boxes without area have none."""
    a, b = a[:, :, None], b[:, None]
    side = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    shared = side[..., 0] * side[..., 1]
    return shared / (box_ops.area(a) + box_ops.area(b) - shared).clamp(min=1e-9)


def unsuppressed(boxes: Tensor, usable: Tensor, threshold: float) -> Tensor:
    """Greedy suppression of boxes [N, K, 4], best first: which stay, [N, K].

    A box stays if no better one that stays overlaps it: taken all at once and again and again, this is right for the first box after one
    round, and for every box after as many as the chain of boxes above it is long.
    """
    dtype = torch.bfloat16 if boxes.is_cuda else torch.float32
    hides = ((pairwise_iou(boxes, boxes) > threshold) & usable[:, :, None]).triu(1).to(dtype)
    stays = usable
    for _ in range(min(ROUNDS, boxes.shape[1])):
        stays = usable & ~(torch.bmm(stays[:, None].to(dtype), hides)[:, 0] > 0.5)
    return stays


def pool(features: list[Tensor], rois: Tensor, bins: int) -> Tensor:
    """`pooler.pool` of rois [N, R, 4]: [N·R, C, bins, bins]. Each level pools all RoIs, those of other levels without any extent: they cost
    nothing and give 0, and none has to be counted."""
    count, each = rois.shape[:2]
    image = torch.arange(count, device=rois.device).repeat_interleave(each)[:, None].float()
    boxes = rois.flatten(0, 1)
    levels = level_of(boxes)
    total = 0
    with torch.autocast(rois.device.type, enabled=False):
        for level, feature in enumerate(features):
            here = torch.cat([image, torch.where((levels == level)[:, None], boxes, 0.0)], 1)
            total = total + roi_align(feature.float().contiguous(), here, bins, 1 / STRIDES[level], sampling_ratio=0, aligned=True)
    return total
