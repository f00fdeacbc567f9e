"""Which anchor or proposal learns which box, and which of them are sampled (Detectron2's `Matcher` and `subsample_labels`)."""

import torch
from torch import Tensor

from .anchors import iou_of

IGNORED, BACKGROUND, FOREGROUND = -1, 0, 1


def label(best: Tensor, low: float, high: float) -> Tensor:
    """Labels from each candidate's best overlap: background below `low`, foreground from `high` on, ignored between the two."""
    return (best >= high).long() - ((best >= low) & (best < high)).long()


def match_anchors(levels, maps: list[tuple[int, int]], truth: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """For all anchors of all levels, whose maps are `maps` (height, width): labels [N] and indices into `truth` [G, 4].

    An anchor that is a box's best is foreground too, however small the overlap, or odd boxes would never be learnt.
    """
    if not len(truth):
        count = sum(height * width * len(level.cells) for level, (height, width) in zip(levels, maps))
        return torch.zeros(count, dtype=torch.long), torch.zeros(count, dtype=torch.long)
    shares = [level.shares(height, width, truth) for level, (height, width) in zip(levels, maps)]
    of_truth = [share.amax(1) for share in shares]
    best_of_truth = torch.stack(of_truth).amax(0)
    labels, matches = [], []
    for share, best_here in zip(shares, of_truth):
        best, match = share.max(0)
        labels.append(label(iou_of(best), low, high))
        touched = (best_here == best_of_truth).nonzero().flatten()
        labels[-1][(share[touched] == best_of_truth[touched, None]).any(0)] = FOREGROUND
        matches.append(match)
    return torch.cat(labels), torch.cat(matches)


def sample(labels: Tensor, count: int, positive_fraction: float) -> tuple[Tensor, Tensor]:
    """Indices of up to `count` random candidates: foreground, at most that fraction, and background for the rest."""
    positive = (labels == FOREGROUND).nonzero().flatten()
    negative = (labels == BACKGROUND).nonzero().flatten()
    wanted = min(len(positive), int(count * positive_fraction))
    return pick(positive, wanted), pick(negative, count - wanted)


def pick(indices: Tensor, count: int) -> Tensor:
    """`count` random ones of `indices`, or all if there are fewer."""
    if len(indices) <= count:
        return indices
    if len(indices) > 8 * count:
        # Nearly all anchors are background: drawing with few repetitions is far cheaper than shuffling them all.
        drawn = torch.unique(torch.randint(len(indices), (2 * count,), device=indices.device))
        return indices[drawn[torch.randperm(len(drawn), device=indices.device)[:count]]]
    return indices[torch.randperm(len(indices), device=indices.device)[:count]]
