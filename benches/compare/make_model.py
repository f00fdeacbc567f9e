"""Writes a full-size Mask R-CNN R50-FPN in Detectron2's key names with random, well scaled weights: make_model.py FOLDER [SEED].

No training: activations keep their size through the network, so that speed, memory and agreement can be measured without a checkpoint.
Needs numpy.
"""
import json
import pathlib
import struct
import sys

import numpy

CLASSES = 5
folder = pathlib.Path(sys.argv[1])
random = numpy.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
tensors = {}


def conv(name, output, inputs, kernel, norm=False, gain=2.0, bias=True):
    fan_in = inputs * kernel * kernel
    tensors[f"{name}.weight"] = random.normal(0, (gain / fan_in) ** 0.5, (output, inputs, kernel, kernel))
    if norm:
        for part, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            tensors[f"{name}.norm.{part}"] = numpy.full(output, value)
    elif bias:
        tensors[f"{name}.bias"] = numpy.zeros(output)


def linear(name, output, inputs, deviation):
    tensors[f"{name}.weight"] = random.normal(0, deviation, (output, inputs))
    tensors[f"{name}.bias"] = numpy.zeros(output)


conv("backbone.bottom_up.stem.conv1", 64, 3, 7, norm=True, gain=2e-4)
channels = 64
for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=2):
    for block in range(blocks):
        name = f"backbone.bottom_up.res{stage}.{block}"
        conv(f"{name}.conv1", width, channels, 1, norm=True)
        conv(f"{name}.conv2", width, width, 3, norm=True)
        # What is added to the shortcut is small, or the sums would grow from block to block.
        conv(f"{name}.conv3", 4 * width, width, 1, norm=True, gain=0.2)
        if block == 0:
            conv(f"{name}.shortcut", 4 * width, channels, 1, norm=True, gain=1.0)
        channels = 4 * width
    conv(f"backbone.fpn_lateral{stage}", 256, channels, 1, gain=1.0)
    conv(f"backbone.fpn_output{stage}", 256, 256, 3, gain=1.0)
conv("proposal_generator.rpn_head.conv", 256, 256, 3)
conv("proposal_generator.rpn_head.objectness_logits", 3, 256, 1, gain=1.0)
conv("proposal_generator.rpn_head.anchor_deltas", 12, 256, 1, gain=0.02)
linear("roi_heads.box_head.fc1", 1024, 256 * 49, (2 / (256 * 49)) ** 0.5)
linear("roi_heads.box_head.fc2", 1024, 1024, (2 / 1024) ** 0.5)
linear("roi_heads.box_predictor.cls_score", CLASSES + 1, 1024, 0.06)
linear("roi_heads.box_predictor.bbox_pred", 4 * CLASSES, 1024, 0.02)
for i in range(1, 5):
    conv(f"roi_heads.mask_head.mask_fcn{i}", 256, 256, 3)
tensors["roi_heads.mask_head.deconv.weight"] = random.normal(0, (2 / 256) ** 0.5, (256, 256, 2, 2))
tensors["roi_heads.mask_head.deconv.bias"] = numpy.zeros(256)
conv("roi_heads.mask_head.predictor", CLASSES, 256, 1, gain=1.0)

folder.mkdir(parents=True, exist_ok=True)
header, offset = {}, 0
for name, value in tensors.items():
    size = value.size * 4
    header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [offset, offset + size]}
    offset += size
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(folder / "model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    for value in tensors.values():
        file.write(value.astype("<f4").tobytes())
(folder / "config.yaml").write_text(
    f"""VERSION: 2
INPUT: {{FORMAT: BGR, MIN_SIZE_TEST: 800, MAX_SIZE_TEST: 1333}}
MODEL:
  META_ARCHITECTURE: GeneralizedRCNN
  MASK_ON: true
  PIXEL_MEAN: [103.53, 116.28, 123.675]
  PIXEL_STD: [1.0, 1.0, 1.0]
  BACKBONE: {{NAME: build_resnet_fpn_backbone}}
  RESNETS: {{DEPTH: 50, OUT_FEATURES: [res2, res3, res4, res5], NORM: FrozenBN, STRIDE_IN_1X1: false}}
  FPN: {{IN_FEATURES: [res2, res3, res4, res5], NORM: '', FUSE_TYPE: sum, OUT_CHANNELS: 256}}
  ANCHOR_GENERATOR: {{SIZES: [[32], [64], [128], [256], [512]], ASPECT_RATIOS: [[0.5, 1.0, 2.0]]}}
  RPN: {{IN_FEATURES: [p2, p3, p4, p5, p6], PRE_NMS_TOPK_TEST: 1000, POST_NMS_TOPK_TEST: 1000}}
  ROI_HEADS: {{NAME: StandardROIHeads, IN_FEATURES: [p2, p3, p4, p5], NUM_CLASSES: {CLASSES}, SCORE_THRESH_TEST: 0.05}}
  ROI_BOX_HEAD: {{NAME: FastRCNNConvFCHead, NUM_FC: 2, FC_DIM: 1024, POOLER_RESOLUTION: 7, POOLER_SAMPLING_RATIO: 0}}
  ROI_MASK_HEAD: {{NAME: MaskRCNNConvUpsampleHead, NUM_CONV: 4, CONV_DIM: 256, POOLER_RESOLUTION: 14, POOLER_SAMPLING_RATIO: 0}}
TEST: {{DETECTIONS_PER_IMAGE: 20}}
"""
)
print(f"{folder}: {offset / 1e6:.0f} MB, {sum(v.size for v in tensors.values()) / 1e6:.1f} million weights")
