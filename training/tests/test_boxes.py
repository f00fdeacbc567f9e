import torch

from detectron import boxes


def random_boxes(count: int, side: float = 600) -> torch.Tensor:
    corners = torch.rand(count, 2, 2) * side
    low, high = corners.amin(1), corners.amax(1)
    return torch.cat([low, high + 1], dim=1)


def test_what_is_encoded_is_decoded():
    torch.manual_seed(0)
    source, target = random_boxes(200), random_boxes(200)
    for weights in ([1.0, 1.0, 1.0, 1.0], [10.0, 10.0, 5.0, 5.0]):
        back = boxes.decode(boxes.encode(source, target, weights), source, weights)
        # Sizes beyond the clamp cannot come back.
        possible = ((target[:, 2:] - target[:, :2]) / (source[:, 2:] - source[:, :2]) < 1000 / 16).all(1)
        assert torch.allclose(back[possible], target[possible], atol=2e-3)


def test_growth_is_clamped():
    grown = boxes.decode(torch.tensor([[0.0, 0, 100, 0]]), torch.tensor([[0.0, 0, 16, 16]]), [1.0] * 4)
    assert abs(grown[0, 2] - grown[0, 0] - 1000) < 0.1


def test_clip():
    clipped = boxes.clip(torch.tensor([[-5.0, 3, 700, 90]]), (80, 600))
    assert clipped.tolist() == [[0, 3, 600, 80]]
