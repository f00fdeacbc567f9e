"""Region proposal network (Detectron2's `modeling/proposal_generator/rpn.py`)."""

import itertools

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
        logits, deltas = self._answer(F.relu_(self.conv(feature)).permute(0, 2, 3, 1))
        return logits.flatten(1), deltas.reshape(len(feature), -1, 4)

    def at(self, feature: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """The same for some cells only: rows of [N·H·W] → logits [S, A] and deltas [S, A, 4].

        A loss is taken at a few hundred of a map's ten thousands of cells, so its gradient does not have to go through convolutions of whole maps.
        """
        count, channels, height, width = feature.shape
        x, y = cells % width, cells // width % height
        step = torch.arange(-1, 2, device=cells.device)
        down, right = step.repeat_interleave(3), step.repeat(3)
        inside = ((y[:, None] + down) % height == y[:, None] + down) & ((x[:, None] + right) % width == x[:, None] + right)
        neighbours = torch.where(inside, cells[:, None] + down * width + right, 0)
        rows = feature.permute(0, 2, 3, 1).reshape(count * height * width, channels)
        patches = F.embedding(neighbours, rows) * inside[..., None]
        weight = self.conv.weight.permute(0, 2, 3, 1).flatten(1)
        logits, deltas = self._answer(F.relu_(F.linear(patches.flatten(1), weight, self.conv.bias)))
        return logits, deltas.unflatten(1, (-1, 4))

    def _answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both 1×1 convolutions as one product with the channels last: a tenth of the time of two convolutions to so few channels."""
        weight = torch.cat([self.objectness_logits.weight, self.anchor_deltas.weight]).flatten(1)
        bias = torch.cat([self.objectness_logits.bias, self.anchor_deltas.bias])
        logits, deltas = F.linear(x, weight, bias).split([len(self.objectness_logits.bias), len(self.anchor_deltas.bias)], dim=-1)
        return logits, deltas


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
        maps = [tuple(feature.shape[-2:]) for feature in features]
        grids = self._anchors(maps, features[0].device)
        losses = self._losses(features, maps, torch.cat(grids), truth) if truth is not None else {}
        with torch.no_grad():
            answers = [self.rpn_head(feature) for feature in features]
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

    def _losses(self, features: list[Tensor], maps, all_anchors: Tensor, truth: list[Tensor]) -> dict[str, Tensor]:
        cfg, device = self.cfg, all_anchors.device
        chosen, wanted, wanted_deltas = [], [], []
        for i, boxes_of_image in enumerate(truth):
            labels, matches = matching.match_anchors(self.levels, maps, boxes_of_image.cpu(), *cfg.IOU_THRESHOLDS)
            positive, negative = matching.sample(labels, cfg.BATCH_SIZE_PER_IMAGE, cfg.POSITIVE_FRACTION)
            learns = matches[positive].to(device)
            positive, negative = positive.to(device), negative.to(device)
            chosen.append(torch.cat([positive, negative]) + i * len(all_anchors))
            wanted.append(torch.cat([torch.ones_like(positive), torch.zeros_like(negative)]))
            wanted_deltas.append(boxes.encode(all_anchors[positive], boxes_of_image[learns], cfg.BBOX_REG_WEIGHTS))
        wanted = torch.cat(wanted)
        logits, deltas = self._answers_at(features, maps, torch.cat(chosen))
        objectness = F.binary_cross_entropy_with_logits(logits.float(), wanted.float(), reduction="sum")
        shift = F.l1_loss(deltas[wanted > 0].float(), torch.cat(wanted_deltas), reduction="sum")
        scale = cfg.LOSS_WEIGHT / (cfg.BATCH_SIZE_PER_IMAGE * len(truth))
        return {"rpn_cls": objectness * scale, "rpn_loc": shift * (scale * cfg.BBOX_REG_LOSS_WEIGHT)}

    def _answers_at(self, features: list[Tensor], maps, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [S] and deltas [S, 4] of anchors counted over images, levels, cells and an anchor's place in its cell."""
        per_cell = len(self.levels[0].cells)
        counts = [height * width * per_cell for height, width in maps]
        image, anchor = chosen // sum(counts), chosen % sum(counts)
        logits, deltas, places = [], [], []
        for feature, count, before in zip(features, counts, itertools.accumulate(counts, initial=0)):
            here = ((anchor >= before) & (anchor < before + count)).nonzero().flatten()
            cell = image[here] * (count // per_cell) + (anchor[here] - before) // per_cell
            which = ((anchor[here] - before) % per_cell, torch.arange(len(here), device=here.device))
            of_cells = self.rpn_head.at(feature, cell)
            logits.append(of_cells[0][which[1], which[0]])
            deltas.append(of_cells[1][which[1], which[0]])
            places.append(here)
        order = torch.argsort(torch.cat(places))
        return torch.cat(logits)[order], torch.cat(deltas)[order]
