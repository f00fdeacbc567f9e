"""The batch's anchors, proposals and losses are those of detectron/."""

import pytest
import torch

from detectron import config, matching
from detectron.pooler import pool as plain_pool
from detectron.rcnn import GeneralizedRCNN
from gpu import batched, drawn

SIZES = [(96, 128), (90, 100)]


@pytest.fixture(scope="module")
def cfg():
    """Small, and every anchor and proposal is learnt from, so that both sides have the same samples."""
    cfg = drawn.small(config.read("configs/medium.yaml"))
    cfg.MODEL.RPN.update(BATCH_SIZE_PER_IMAGE=10**6, POSITIVE_FRACTION=1.0, PRE_NMS_TOPK_TRAIN=60, POST_NMS_TOPK_TRAIN=50)
    cfg.MODEL.ROI_HEADS.update(BATCH_SIZE_PER_IMAGE=10**4, POSITIVE_FRACTION=1.0)
    return cfg


@pytest.fixture(scope="module")
def model(cfg) -> GeneralizedRCNN:
    """With weights that make its proposals differ from its anchors."""
    torch.manual_seed(3)
    model = GeneralizedRCNN(cfg)
    for conv in (model.proposal_generator.rpn_head.objectness_logits, model.proposal_generator.rpn_head.anchor_deltas):
        torch.nn.init.normal_(conv.weight, std=0.1)
    return model


def batch():
    """Two pages with three boxes and one: bytes, lists as detectron/ takes them, and padded."""
    torch.manual_seed(4)
    pixels = torch.randint(0, 255, (2, 3, 96, 128), dtype=torch.uint8)
    truth = [torch.tensor([[8.0, 8, 90, 20], [10, 30, 60, 80], [70, 30, 120, 36]]), torch.tensor([[5.0, 5, 95, 60]])]
    classes = [torch.tensor([0, 4, 1]), torch.tensor([3])]
    boxes, names = torch.zeros(2, 16, 4), torch.full((2, 16), -1)
    for i in range(2):
        boxes[i, : len(truth[i])], names[i, : len(truth[i])] = truth[i], classes[i]
    return pixels, truth, classes, boxes, names


def test_matching_is_that_of_each_page(model):
    _, truth, _, boxes, names = batch()
    ours, maps = batched.Batched(model), [(24, 32), (12, 16), (6, 8), (3, 4), (2, 2)]
    labels, matches = ours.match(maps, boxes, names >= 0)
    for i in range(2):
        expected = matching.match_anchors(ours.levels, maps, truth[i], *model.cfg.MODEL.RPN.IOU_THRESHOLDS)
        assert torch.equal(labels[i], expected[0])
        foreground = labels[i] == matching.FOREGROUND
        assert foreground.any() and torch.equal(matches[i][foreground], expected[1][foreground])


def test_proposals_are_those_of_each_page(model):
    x = model._normalise(batch()[0], SIZES)
    ours = batched.Batched(model)
    features, logits, deltas = ours.dense(x)
    found, usable = ours.proposals(logits, deltas, ours._anchors([tuple(f.shape[-2:]) for f in features]), torch.tensor(SIZES))
    expected, _ = model.proposal_generator(features, SIZES)
    for boxes, keep, plain in zip(found, usable, expected):
        assert torch.allclose(boxes[keep], plain, atol=1e-3)


def test_losses_are_those_of_each_page(model):
    pixels, truth, classes, boxes, names = batch()
    plain = model(pixels, SIZES, truth, classes)
    ours = batched.Batched(model).losses(model._normalise(pixels, SIZES), torch.tensor(SIZES), boxes, names)
    for name, value in plain.items():
        assert ours[name].item() == pytest.approx(value.item(), rel=1e-3), name
    weights = [model.backbone.fpn_output2.weight, model.roi_heads.box_head.fc1.weight]
    expected = torch.autograd.grad(sum(value for name, value in plain.items() if name != "fg_accuracy"), weights)
    found = torch.autograd.grad(sum(value for name, value in ours.items() if name != "fg_accuracy"), weights)
    for a, b in zip(expected, found):
        assert (a - b).norm() < 1e-3 * a.norm()


def test_pooling_over_levels_is_that_of_the_matrix_products():
    torch.manual_seed(5)
    features = [torch.randn(2, 8, 256 >> level, 192 >> level) for level in range(4)]
    corner = torch.rand(2, 20, 2) * 300
    rois = torch.cat([corner, corner + torch.rand(2, 20, 2) * torch.tensor([600.0, 400.0]) + 3], 2)
    ours = batched.pool(features, rois, 7)
    assert torch.allclose(ours, plain_pool(features, list(rois), (4, 8, 16, 32), 7), atol=1e-4)


def test_samples_are_of_their_kind_and_no_more_than_asked_for():
    labels = torch.tensor([[1] * 100 + [0] * 500 + [-1] * 50, [1] * 2 + [0] * 10 + [-1] * 638])
    at, valid, positive = batched.sample(labels, 64, 0.25)
    assert positive.sum(1).tolist() == [16, 2] and valid.sum(1).tolist() == [64, 12]
    for row in range(2):
        chosen = at[row][valid[row]]
        assert len(chosen.unique()) == len(chosen)
        assert (labels[row, at[row][positive[row]]] == 1).all() and (labels[row, at[row][valid[row] & ~positive[row]]] == 0).all()
