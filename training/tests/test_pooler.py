import torch
from torchvision.ops import roi_align

from detectron import pooler


def test_two_products_are_roi_align():
    """Forward and backward, with RoIs of all sizes, outside the image and empty."""
    torch.manual_seed(3)
    feature = torch.randn(1, 8, 33, 47, requires_grad=True)
    corner, size = torch.rand(150, 2) * 150 - 20, torch.rand(150, 2) ** 3 * 220
    rois = torch.cat([corner, corner + size], dim=1)
    rois[7, 2] = rois[7, 0]
    ours = pooler.roi_align(feature[0].permute(1, 2, 0), rois, 1 / 4, 7)
    theirs = roi_align(feature, [rois], 7, 1 / 4, sampling_ratio=0, aligned=True)
    assert torch.allclose(ours, theirs, atol=2e-5)
    weight = torch.randn_like(theirs)
    (our_gradient,) = torch.autograd.grad((ours * weight).sum(), feature)
    (their_gradient,) = torch.autograd.grad((theirs * weight).sum(), feature)
    assert torch.allclose(our_gradient, their_gradient, atol=1e-3)


def test_rois_come_back_in_their_order():
    torch.manual_seed(4)
    features = [torch.randn(2, 4, 64 // 2**i, 64 // 2**i) for i in range(4)]
    rois = [torch.tensor([[0.0, 0, 250, 250], [5, 5, 30, 20], [10, 10, 140, 130]]), torch.tensor([[3.0, 3, 9, 9], [0, 0, 256, 256]])]
    pooled = pooler.pool(features, rois, (4, 8, 16, 32), 7)
    for image, row, at in ((0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, 3), (1, 1, 4)):
        roi = rois[image][row : row + 1]
        level = int(pooler.level_of(roi))
        alone = roi_align(features[level][image : image + 1], [roi], 7, 1 / (4, 8, 16, 32)[level], 0, True)
        assert torch.allclose(pooled[at], alone[0], atol=1e-5)
