"""Configuration under Detectron2's key names, with Detectron2's defaults, plus one section of ours, `TRAIN`.

`TRAIN` holds what Detectron2 has no key for. It never leaves the training folder: `for_detectron2` takes it off, because Detectron2
refuses keys that it does not know.
"""

import copy
from pathlib import Path

import yaml


class Node(dict):
    """A dictionary whose keys are attributes too, so that code reads `cfg.MODEL.RPN.NMS_THRESH`."""

    def __getattr__(self, key):
        try:
            return self[key]
        except KeyError:
            raise AttributeError(key) from None

    __setattr__ = dict.__setitem__


DEFAULTS = yaml.safe_load("""
VERSION: 2
INPUT: {FORMAT: BGR, MIN_SIZE_TRAIN: [800], MAX_SIZE_TRAIN: 1333, MIN_SIZE_TEST: 800, MAX_SIZE_TEST: 1333}
MODEL:
  META_ARCHITECTURE: GeneralizedRCNN
  MASK_ON: false
  KEYPOINT_ON: false
  PIXEL_MEAN: [103.53, 116.28, 123.675]
  PIXEL_STD: [1.0, 1.0, 1.0]
  BACKBONE: {NAME: build_resnet_fpn_backbone, FREEZE_AT: 0}
  RESNETS:
    DEPTH: 50
    NORM: BN
    NUM_GROUPS: 1
    WIDTH_PER_GROUP: 64
    STEM_OUT_CHANNELS: 64
    RES2_OUT_CHANNELS: 256
    STRIDE_IN_1X1: false
    OUT_FEATURES: [res2, res3, res4, res5]
  FPN: {IN_FEATURES: [res2, res3, res4, res5], OUT_CHANNELS: 256, NORM: '', FUSE_TYPE: sum}
  PROPOSAL_GENERATOR: {NAME: RPN, MIN_SIZE: 0}
  ANCHOR_GENERATOR:
    NAME: DefaultAnchorGenerator
    SIZES: [[32], [64], [128], [256], [512]]
    ASPECT_RATIOS: [[0.5, 1.0, 2.0]]
    OFFSET: 0.0
  RPN:
    HEAD_NAME: StandardRPNHead
    IN_FEATURES: [p2, p3, p4, p5, p6]
    IOU_THRESHOLDS: [0.3, 0.7]
    BATCH_SIZE_PER_IMAGE: 256
    POSITIVE_FRACTION: 0.5
    BBOX_REG_WEIGHTS: [1.0, 1.0, 1.0, 1.0]
    LOSS_WEIGHT: 1.0
    BBOX_REG_LOSS_WEIGHT: 1.0
    NMS_THRESH: 0.7
    PRE_NMS_TOPK_TRAIN: 2000
    POST_NMS_TOPK_TRAIN: 1000
    PRE_NMS_TOPK_TEST: 1000
    POST_NMS_TOPK_TEST: 1000
  ROI_HEADS:
    NAME: StandardROIHeads
    IN_FEATURES: [p2, p3, p4, p5]
    NUM_CLASSES: 8
    IOU_THRESHOLDS: [0.5]
    BATCH_SIZE_PER_IMAGE: 512
    POSITIVE_FRACTION: 0.25
    PROPOSAL_APPEND_GT: true
    SCORE_THRESH_TEST: 0.05
    NMS_THRESH_TEST: 0.5
  ROI_BOX_HEAD:
    NAME: FastRCNNConvFCHead
    NUM_CONV: 0
    NUM_FC: 2
    FC_DIM: 1024
    NORM: ''
    POOLER_TYPE: ROIAlignV2
    POOLER_RESOLUTION: 7
    POOLER_SAMPLING_RATIO: 0
    BBOX_REG_WEIGHTS: [10.0, 10.0, 5.0, 5.0]
    BBOX_REG_LOSS_WEIGHT: 1.0
SOLVER:
  IMS_PER_BATCH: 16
  BASE_LR: 0.001
  BASE_LR_END: 0.0
  WARMUP_ITERS: 1000
  WEIGHT_DECAY: 0.05
  WEIGHT_DECAY_NORM: 0.0
  CLIP_GRADIENTS: {ENABLED: true, CLIP_TYPE: full_model, CLIP_VALUE: 1.0, NORM_TYPE: 2.0}
TEST: {DETECTIONS_PER_IMAGE: 100}
TRAIN:
  CLASSES: [text, title, list, table, figure, caption, header_footer, formula]
  EMA_DECAY: 0.998
  STAGES: []
  ZOOM_PROB: 0.3
  ZOOM_MIN: 0.55
  FLIP_PROB: 0.0
  PHOTOMETRIC_PROB: 0.5
  INVERT_PROB: 0.02
""")

# What the layers here are written for: another value is refused instead of being ignored.
ONLY = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.MASK_ON": False,
    "MODEL.KEYPOINT_ON": False,
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.RESNETS.NORM": "BN",
    "MODEL.FPN.NORM": "",
    "MODEL.FPN.FUSE_TYPE": "sum",
    "MODEL.PROPOSAL_GENERATOR.NAME": "RPN",
    "MODEL.RPN.HEAD_NAME": "StandardRPNHead",
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_CONV": 0,
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlignV2",
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 0,
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": "full_model",
}


def read(path: Path | str) -> Node:
    """The configuration of a YAML file on top of the defaults; raises ValueError for keys and values that are not supported."""
    cfg = copy.deepcopy(DEFAULTS)
    _merge(cfg, yaml.safe_load(Path(path).read_text()) or {}, "")
    cfg = _nodes(cfg)
    for key, supported in ONLY.items():
        value = cfg
        for part in key.split("."):
            value = value[part]
        if value != supported:
            raise ValueError(f"{path}: {key} is {value!r}; only {supported!r} is written here")
    if len(cfg.TRAIN.CLASSES) != cfg.MODEL.ROI_HEADS.NUM_CLASSES:
        raise ValueError(f"{path}: TRAIN.CLASSES has {len(cfg.TRAIN.CLASSES)} names, NUM_CLASSES is {cfg.MODEL.ROI_HEADS.NUM_CLASSES}")
    return cfg


def dump(cfg: Node) -> str:
    """YAML text that `read` takes."""
    return yaml.safe_dump(_plain(cfg))


def for_detectron2(cfg: Node) -> str:
    """YAML text that Detectron2 and docreader take."""
    return yaml.safe_dump({key: value for key, value in _plain(cfg).items() if key != "TRAIN"})


def _merge(into: dict, other: dict, path: str) -> None:
    for key, value in other.items():
        if key not in into:
            raise ValueError(f"unknown key {path}{key}")
        if isinstance(into[key], dict):
            _merge(into[key], value, f"{path}{key}.")
        else:
            into[key] = value


def _nodes(value):
    return Node({k: _nodes(v) for k, v in value.items()}) if isinstance(value, dict) else value


def _plain(value):
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value
