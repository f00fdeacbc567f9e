import torch
from test_boxes import random_boxes
from torchvision.ops import box_iou

from detectron import anchors, matching
from detectron.config import Node

LEVELS = anchors.levels(Node(SIZES=[[16], [40]], ASPECT_RATIOS=[[0.1, 0.5, 1.3]], OFFSET=0.0), (4, 8))
MAPS = [(20, 30), (10, 15)]


def test_overlaps_by_axis_are_overlaps_of_pairs():
    torch.manual_seed(1)
    truth = random_boxes(9, side=100)
    for level, size in zip(LEVELS, MAPS):
        assert torch.allclose(anchors.iou_of(level.shares(*size, truth)), box_iou(truth, level.grid(*size)), atol=1e-5)


def test_matcher_is_the_plain_loop():
    torch.manual_seed(2)
    for count in (1, 3, 12):
        truth = random_boxes(count, side=110)
        labels, matches = matching.match_anchors(LEVELS, MAPS, truth, 0.3, 0.6)
        iou = torch.cat([anchors.iou_of(level.shares(*size, truth)) for level, size in zip(LEVELS, MAPS)], dim=1).tolist()
        best_of_truth = [max(row) for row in iou]
        for anchor in range(len(labels)):
            overlaps = [row[anchor] for row in iou]
            best = max(overlaps)
            expected = 1 if best >= 0.6 else 0 if best < 0.3 else -1
            if any(overlap == of_truth for overlap, of_truth in zip(overlaps, best_of_truth)):
                expected = 1
            assert labels[anchor] == expected
            assert overlaps[matches[anchor]] == best


def test_a_page_without_boxes_is_background():
    labels, matches = matching.match_anchors(LEVELS, MAPS, torch.zeros(0, 4), 0.3, 0.7)
    assert len(labels) == len(matches) == (20 * 30 + 10 * 15) * 3
    assert not labels.any()


def test_samples_are_of_their_kind_and_no_more_than_asked_for():
    labels = torch.tensor([1] * 100 + [0] * 5000 + [-1] * 50)
    positive, negative = matching.sample(labels, 64, 0.25)
    assert len(positive) == 16 and len(negative) == 48
    assert (labels[positive] == 1).all() and (labels[negative] == 0).all()
    assert len(positive.unique()) == 16 and len(negative.unique()) == 48
    positive, negative = matching.sample(labels[98:110], 64, 0.25)
    assert len(positive) == 2 and len(negative) == 10
