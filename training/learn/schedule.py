"""Optimiser, learning rate and the average of the weights."""

import copy
import math

import torch
from torch import nn


def optimizer(model: nn.Module, cfg) -> torch.optim.Optimizer:
    """AdamW, which copes with a net that is new and batches that are small; norms and biases do not decay."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": cfg.SOLVER.WEIGHT_DECAY},
        {"params": vectors, "weight_decay": cfg.SOLVER.WEIGHT_DECAY_NORM},
    ]
    return torch.optim.AdamW(groups, lr=cfg.SOLVER.BASE_LR, betas=(0.9, 0.99), fused=True)


def learning_rate(cfg, iteration: int, progress: float) -> float:
    """Linear warm-up by iterations, then half a cosine over `progress` (0 to 1), which may be measured in hours."""
    solver = cfg.SOLVER
    warm = min(1.0, (iteration + 1) / max(1, solver.WARMUP_ITERS))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return warm * (solver.BASE_LR_END + (solver.BASE_LR - solver.BASE_LR_END) * cosine)


class Average:
    """An exponential moving average of weights and running statistics; what is exported."""

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, iteration: int) -> None:
        # A young average follows faster, or it would remember the random beginning.
        keep = min(self.decay, (1 + iteration) / (10 + iteration))
        ours, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, value in ours.items() if value.is_floating_point()]
        torch._foreach_lerp_([ours[name] for name in floats], [theirs[name] for name in floats], 1 - keep)
        for name in ours.keys() - floats:
            ours[name].copy_(theirs[name])
