"""Region proposal network (Detectron2's `modeling/proposal_generator/rpn.py`)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms

from . import anchors, boxes, matching
from .fpn import STRIDES


class RpnHead(nn.Module):
    """A map [N, C, H, W] → logits [N, H·W·A] and deltas [N, H·W·A, 4], in the order (y, x, anchor)."""

    def __init__(self, channels: int, anchors_per_cell: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness_logits = nn.Conv2d(channels, anchors_per_cell, 1)
        self.anchor_deltas = nn.Conv2d(channels, anchors_per_cell * 4, 1)
        for conv in (self.conv, self.objectness_logits, self.anchor_deltas):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu_(self.conv(feature))
        # Both 1×1 convolutions as one product with the channels last: a tenth of the time of two convolutions to so few channels.
        weight = torch.cat([self.objectness_logits.weight, self.anchor_deltas.weight]).flatten(1)
        bias = torch.cat([self.objectness_logits.bias, self.anchor_deltas.bias])
        answers = F.linear(x.permute(0, 2, 3, 1), weight, bias)
        logits, deltas = answers.split([len(self.objectness_logits.bias), len(self.anchor_deltas.bias)], dim=-1)
        return logits.flatten(1), deltas.reshape(len(x), -1, 4)


class Rpn(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg, self.min_size = cfg.RPN, cfg.PROPOSAL_GENERATOR.MIN_SIZE
        self.levels = anchors.levels(cfg.ANCHOR_GENERATOR, STRIDES)
        counts = {len(level.cells) for level in self.levels}
        if len(counts) != 1:
            raise ValueError("MODEL.ANCHOR_GENERATOR must give each level the same number of anchors")
        self.rpn_head = RpnHead(cfg.FPN.OUT_CHANNELS, counts.pop())
        self._grids: dict[tuple, list[Tensor]] = {}

    def forward(self, features: list[Tensor], sizes: list[tuple[int, int]], truth: list[Tensor] | None = None):
        """Proposals of each image (boxes, best first) and, where `truth` is given, the losses.

        `sizes` are the images' heights and widths without padding.
        """
        answers = [self.rpn_head(feature) for feature in features]
        maps = [tuple(feature.shape[-2:]) for feature in features]
        grids = self._anchors(maps, features[0].device)
        losses = {}
        if truth is not None:
            losses = self._losses(answers, maps, torch.cat(grids), truth)
        with torch.no_grad():
            return self._proposals(answers, grids, sizes), losses

    def _anchors(self, maps: list[tuple[int, int]], device) -> list[Tensor]:
        key = (*maps, device)
        if key not in self._grids:
            if len(self._grids) > 64:
                self._grids.clear()
            self._grids[key] = [level.grid(*size).to(device) for level, size in zip(self.levels, maps)]
        return self._grids[key]

    @torch.no_grad()
    def _proposals(self, answers, grids, sizes) -> list[Tensor]:
        mode = "TRAIN" if self.training else "TEST"
        pre, post = self.cfg[f"PRE_NMS_TOPK_{mode}"], self.cfg[f"POST_NMS_TOPK_{mode}"]
        scores, candidates, owners = [], [], []
        for number, ((logits, deltas), grid) in enumerate(zip(answers, grids)):
            best, at = logits.float().topk(min(pre, logits.shape[1]), dim=1)
            picked = deltas.gather(1, at[..., None].expand(-1, -1, 4))
            scores.append(best)
            candidates.append(boxes.decode(picked, grid[at], self.cfg.BBOX_REG_WEIGHTS))
            owners.append(torch.full_like(at[0], number))
        scores, candidates, owners = torch.cat(scores, 1), torch.cat(candidates, 1), torch.cat(owners)
        proposals = []
        for score, box, size in zip(scores, candidates, sizes):
            usable = box.isfinite().all(1) & score.isfinite()
            box = boxes.clip(box, size)
            usable &= ((box[:, 2:] - box[:, :2]) > self.min_size).all(1)
            box, score, owner = box[usable], score[usable], owners[usable]
            proposals.append(box[batched_nms(box, score, owner, self.cfg.NMS_THRESH)[:post]])
        return proposals

    def _losses(self, answers, maps, all_anchors: Tensor, truth: list[Tensor]) -> dict[str, Tensor]:
        cfg, device = self.cfg, all_anchors.device
        logits = torch.cat([answer[0] for answer in answers], 1)
        deltas = torch.cat([answer[1] for answer in answers], 1)
        chosen, wanted, moved, wanted_deltas = [], [], [], []
        for i, boxes_of_image in enumerate(truth):
            labels, matches = matching.match_anchors(self.levels, maps, boxes_of_image.cpu(), *cfg.IOU_THRESHOLDS)
            positive, negative = matching.sample(labels, cfg.BATCH_SIZE_PER_IMAGE, cfg.POSITIVE_FRACTION)
            learns = matches[positive].to(device)
            positive, negative = positive.to(device), negative.to(device)
            chosen.append(torch.cat([positive, negative]) + i * len(all_anchors))
            wanted.append(torch.cat([torch.ones_like(positive), torch.zeros_like(negative)]))
            moved.append(positive + i * len(all_anchors))
            wanted_deltas.append(boxes.encode(all_anchors[positive], boxes_of_image[learns], cfg.BBOX_REG_WEIGHTS))
        objectness = F.binary_cross_entropy_with_logits(
            logits.flatten()[torch.cat(chosen)].float(), torch.cat(wanted).float(), reduction="sum"
        )
        shift = F.l1_loss(deltas.flatten(0, 1)[torch.cat(moved)].float(), torch.cat(wanted_deltas), reduction="sum")
        scale = cfg.LOSS_WEIGHT / (cfg.BATCH_SIZE_PER_IMAGE * len(truth))
        return {"rpn_cls": objectness * scale, "rpn_loc": shift * (scale * cfg.BBOX_REG_LOSS_WEIGHT)}
