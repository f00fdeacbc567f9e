"""The same network in PyTorch: torchvision's Mask R-CNN R50-FPN with the weights of a folder that make_model.py wrote.

    peer.py FOLDER IMAGE RUNS      one line of milliseconds a run, then the regions as JSON

torchvision's is the peer because Detectron2 has no wheel; its layers are the same, its anchors are rounded to pixels. The image is resized by
Pillow beforehand, as Detectron2 does it, so the time is without that.
"""
import json
import pathlib
import struct
import sys
import time

import numpy
import torch
import torchvision
from PIL import Image

folder, image, runs = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 2)
raw = (folder / "model.safetensors").read_bytes()
(length,) = struct.unpack("<Q", raw[:8])
header = json.loads(raw[8 : 8 + length])


def tensor(name):
    start, end = header[name]["data_offsets"]
    data = numpy.frombuffer(raw, "<f4", (end - start) // 4, 8 + length + start)
    return torch.from_numpy(data.reshape(header[name]["shape"]).copy())


state = {}


def copy(to, name, parts=("weight", "bias")):
    for part in parts:
        state[f"{to}.{part}"] = tensor(f"{name}.{part}")


def conv_norm(conv, norm, name):
    copy(conv, name, ("weight",))
    copy(norm, f"{name}.norm", ("weight", "bias", "running_mean", "running_var"))


def background_first(to, name, per_class, background):
    """Detectron2 has the background last, or none; torchvision has it first."""
    for part in ("weight", "bias"):
        value = tensor(f"{name}.{part}")
        rest, last = (value[:-per_class], value[-per_class:]) if background else (value, torch.zeros_like(value[:per_class]))
        state[f"{to}.{part}"] = torch.cat([last, rest])


conv_norm("backbone.body.conv1", "backbone.body.bn1", "backbone.bottom_up.stem.conv1")
for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)):
    for block in range(blocks):
        source, to = f"backbone.bottom_up.res{stage}.{block}", f"backbone.body.layer{stage - 1}.{block}"
        for i in (1, 2, 3):
            conv_norm(f"{to}.conv{i}", f"{to}.bn{i}", f"{source}.conv{i}")
        if block == 0:
            conv_norm(f"{to}.downsample.0", f"{to}.downsample.1", f"{source}.shortcut")
    copy(f"backbone.fpn.inner_blocks.{stage - 2}.0", f"backbone.fpn_lateral{stage}")
    copy(f"backbone.fpn.layer_blocks.{stage - 2}.0", f"backbone.fpn_output{stage}")
copy("rpn.head.conv.0.0", "proposal_generator.rpn_head.conv")
copy("rpn.head.cls_logits", "proposal_generator.rpn_head.objectness_logits")
copy("rpn.head.bbox_pred", "proposal_generator.rpn_head.anchor_deltas")
copy("roi_heads.box_head.fc6", "roi_heads.box_head.fc1")
copy("roi_heads.box_head.fc7", "roi_heads.box_head.fc2")
background_first("roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.cls_score", 1, True)
background_first("roi_heads.box_predictor.bbox_pred", "roi_heads.box_predictor.bbox_pred", 4, False)
for i in range(4):
    copy(f"roi_heads.mask_head.{i}.0", f"roi_heads.mask_head.mask_fcn{i + 1}")
copy("roi_heads.mask_predictor.conv5_mask", "roi_heads.mask_head.deconv")
background_first("roi_heads.mask_predictor.mask_fcn_logits", "roi_heads.mask_head.predictor", 1, False)
classes = state["roi_heads.box_predictor.cls_score.bias"].numel()
model = torchvision.models.detection.maskrcnn_resnet50_fpn(
    weights=None, weights_backbone=None, num_classes=classes, min_size=800, max_size=1333, image_mean=[0.0] * 3, image_std=[1.0] * 3,
    box_detections_per_img=20, box_score_thresh=0.05, rpn_pre_nms_top_n_test=1000, rpn_post_nms_top_n_test=1000,
)
# Detectron2 samples as often as a cell has pixels.
for pool in (model.roi_heads.box_roi_pool, model.roi_heads.mask_roi_pool):
    pool.sampling_ratio = 0
model.load_state_dict(state, strict=False)
model.eval()
model = model.to(memory_format=torch.channels_last)
picture = Image.open(image).convert("RGB")
width, height = picture.size
scale = min(800 / min(width, height), 1333 / max(width, height))
size = (int(width * scale + 0.5), int(height * scale + 0.5))
pixels = numpy.asarray(picture.resize(size, Image.BILINEAR), dtype="f4")[:, :, ::-1] - [103.53, 116.28, 123.675]
pixels = torch.from_numpy(numpy.ascontiguousarray(pixels.transpose(2, 0, 1), dtype="f4"))
with torch.inference_mode():
    model([pixels])
    for _ in range(runs):
        started = time.perf_counter()
        (found,) = model([pixels])
        print(f"{1e3 * (time.perf_counter() - started):.1f}", flush=True)
boxes = (found["boxes"] * torch.tensor([width / size[0], height / size[1]] * 2)).tolist()
status = pathlib.Path("/proc/self/status").read_text()
peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
print(json.dumps({"boxes": boxes, "scores": found["scores"].tolist(), "classes": (found["labels"] - 1).tolist(), "peak_mb": round(peak)}))
