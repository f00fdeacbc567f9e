import itertools

import torch

from detectron import config
from detectron.rpn import Rpn, RpnHead


def test_answers_at_cells_are_those_of_whole_maps():
    """Forward and backward, at every cell, so at all edges and over image borders."""
    torch.manual_seed(5)
    head = RpnHead(8, 3)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    feature = torch.randn(2, 8, 5, 7).to(memory_format=torch.channels_last).requires_grad_()
    logits, deltas = head(feature)
    some_logits, some_deltas = head.at(feature, torch.arange(2 * 5 * 7))
    assert torch.allclose(logits.view(-1, 3), some_logits, atol=1e-4)
    assert torch.allclose(deltas.view(-1, 3, 4), some_deltas, atol=1e-4)
    weight = torch.randn_like(some_deltas)
    (whole,) = torch.autograd.grad((deltas.view(-1, 3, 4) * weight).sum(), feature)
    (parts,) = torch.autograd.grad((some_deltas * weight).sum(), feature)
    assert torch.allclose(whole, parts, atol=1e-3)


def test_anchors_are_found_on_their_maps():
    """An anchor counted over images and levels has the answer of that place."""
    torch.manual_seed(6)
    cfg = config.read("configs/narrow.yaml").MODEL
    cfg.FPN.OUT_CHANNELS = 8
    rpn = Rpn(cfg)
    maps = [(8, 6), (4, 3), (2, 2), (1, 1), (1, 1)]
    features = [torch.randn(2, 8, *size) for size in maps]
    answers = [rpn.rpn_head(feature) for feature in features]
    logits, deltas = (torch.cat(part, 1).flatten(0, 1) for part in zip(*answers))
    chosen = torch.tensor(list(itertools.chain(range(0, len(logits), 3), (5, 0, len(logits) - 1))))
    ours = rpn._answers_at(features, maps, chosen)
    assert torch.allclose(ours[0], logits[chosen], atol=1e-4)
    assert torch.allclose(ours[1], deltas[chosen], atol=1e-4)
