"""torchvision's Mask R-CNN R50-FPN with the weights of a folder that make_model.py wrote.

torchvision's is the peer because Detectron2 has no wheel.
Its layers are the same, its anchors are rounded to pixels.
"""
import json
import pathlib
import struct

import numpy
import torch
import torchvision
from PIL import Image


class Weights:
    """Detectron2's tensors, and what torchvision calls them."""

    def __init__(self, folder):
        self.raw = (pathlib.Path(folder) / "model.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", self.raw[:8])
        self.header = json.loads(self.raw[8 : 8 + length])
        self.data = 8 + length
        self.state = {}

    def tensor(self, name):
        start, end = self.header[name]["data_offsets"]
        values = numpy.frombuffer(self.raw, "<f4", (end - start) // 4, self.data + start)
        return torch.from_numpy(values.reshape(self.header[name]["shape"]).copy())

    def copy(self, to, name, parts=("weight", "bias")):
        for part in parts:
            self.state[f"{to}.{part}"] = self.tensor(f"{name}.{part}")

    def conv_norm(self, conv, norm, name):
        self.copy(conv, name, ("weight",))
        self.copy(norm, f"{name}.norm", ("weight", "bias", "running_mean", "running_var"))

    def background_first(self, to, name, per_class, background):
        """Detectron2 has the background last, or none; torchvision has it first."""
        for part in ("weight", "bias"):
            value = self.tensor(f"{name}.{part}")
            rest, last = value, torch.zeros_like(value[:per_class])
            if background:
                rest, last = value[:-per_class], value[-per_class:]
            self.state[f"{to}.{part}"] = torch.cat([last, rest])

    def backbone(self):
        body, bottom_up = "backbone.body", "backbone.bottom_up"
        self.conv_norm(f"{body}.conv1", f"{body}.bn1", f"{bottom_up}.stem.conv1")
        for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)):
            for block in range(blocks):
                source, to = f"{bottom_up}.res{stage}.{block}", f"{body}.layer{stage - 1}.{block}"
                for i in (1, 2, 3):
                    self.conv_norm(f"{to}.conv{i}", f"{to}.bn{i}", f"{source}.conv{i}")
                if block == 0:
                    self.conv_norm(f"{to}.downsample.0", f"{to}.downsample.1", f"{source}.shortcut")
            self.copy(f"backbone.fpn.inner_blocks.{stage - 2}.0", f"backbone.fpn_lateral{stage}")
            self.copy(f"backbone.fpn.layer_blocks.{stage - 2}.0", f"backbone.fpn_output{stage}")

    def heads(self):
        rpn, heads = "proposal_generator.rpn_head", "roi_heads"
        self.copy("rpn.head.conv.0.0", f"{rpn}.conv")
        self.copy("rpn.head.cls_logits", f"{rpn}.objectness_logits")
        self.copy("rpn.head.bbox_pred", f"{rpn}.anchor_deltas")
        self.copy(f"{heads}.box_head.fc6", f"{heads}.box_head.fc1")
        self.copy(f"{heads}.box_head.fc7", f"{heads}.box_head.fc2")
        for name, per_class, background in (("cls_score", 1, True), ("bbox_pred", 4, False)):
            predictor = f"{heads}.box_predictor.{name}"
            self.background_first(predictor, predictor, per_class, background)
        for i in range(4):
            self.copy(f"{heads}.mask_head.{i}.0", f"{heads}.mask_head.mask_fcn{i + 1}")
        predictor = f"{heads}.mask_predictor"
        self.copy(f"{predictor}.conv5_mask", f"{heads}.mask_head.deconv")
        self.background_first(f"{predictor}.mask_fcn_logits", f"{heads}.mask_head.predictor", 1, False)


def build(folder):
    """The model, ready to predict, with settings as in the folder's config.yaml."""
    weights = Weights(folder)
    weights.backbone()
    weights.heads()
    classes = weights.state["roi_heads.box_predictor.cls_score.bias"].numel()
    model = torchvision.models.detection.maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=classes, min_size=800, max_size=1333,
        image_mean=[0.0] * 3, image_std=[1.0] * 3, box_detections_per_img=20,
        box_score_thresh=0.05, rpn_pre_nms_top_n_test=1000, rpn_post_nms_top_n_test=1000,
    )
    # Detectron2 samples as often as a cell has pixels.
    for pool in (model.roi_heads.box_roi_pool, model.roi_heads.mask_roi_pool):
        pool.sampling_ratio = 0
    model.load_state_dict(weights.state, strict=False)
    return model.eval().to(memory_format=torch.channels_last)


def resized(image, short=800, long=1333):
    """The page as Detectron2 gives it to the network, [3, H, W], and the page's own (width, height).

    Pillow resizes, as in Detectron2.
    """
    picture = Image.open(image).convert("RGB")
    width, height = picture.size
    scale = min(short / min(width, height), long / max(width, height))
    size = (int(width * scale + 0.5), int(height * scale + 0.5))
    pixels = numpy.asarray(picture.resize(size, Image.BILINEAR), dtype="f4")[:, :, ::-1]
    pixels = (pixels - [103.53, 116.28, 123.675]).transpose(2, 0, 1)
    return torch.from_numpy(numpy.ascontiguousarray(pixels, dtype="f4")), (width, height)
