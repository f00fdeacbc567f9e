"""A run that is stopped goes on where it was, and what it writes can be read."""

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from detectron import config
from detectron.rcnn import GeneralizedRCNN
from learn import augment, checkpoint, labelme, loader, shards

TRAINING = Path(__file__).parent.parent


@pytest.fixture
def data(tmp_path) -> Path:
    """Five pages in the factory's format; one has no box, one is wide."""
    shard = tmp_path / "data/shard-00000"
    (shard / "images").mkdir(parents=True)
    images, annotations = [], []
    for i in range(5):
        width, height = (160, 120) if i == 4 else (120, 160)
        Image.new("RGB", (width, height), (250, 250 - 20 * i, 250)).save(shard / f"images/{i}.png")
        images.append({"id": i, "file_name": f"images/{i}.png", "width": width, "height": height})
        for k in range(0 if i == 3 else 3):
            box = [10, 20 + 30 * k, 80, 18]
            annotations.append({"id": len(annotations), "image_id": i, "category_id": k + 1, "bbox": box, "area": 1440, "iscrowd": 0})
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(config.DEFAULTS["TRAIN"]["CLASSES"])]
    (shard / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return tmp_path / "data"


@pytest.fixture
def small(tmp_path) -> Path:
    """The default configuration, as small as it can be."""
    cfg = yaml.safe_load((TRAINING / "configs/narrow.yaml").read_text())
    cfg["INPUT"] |= {"MIN_SIZE_TRAIN": [64], "MIN_SIZE_TEST": 64}
    cfg["MODEL"]["RESNETS"] |= {"STEM_OUT_CHANNELS": 8, "RES2_OUT_CHANNELS": 16, "WIDTH_PER_GROUP": 4}
    cfg["MODEL"]["FPN"]["OUT_CHANNELS"] = 16
    cfg["SOLVER"]["IMS_PER_BATCH"] = 2
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(cfg))
    return path


def train(data: Path, small: Path, run: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, TRAINING / "train.py", "--data", data, "--config", small, "--out", run, "--threads", "1", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_a_stopped_run_goes_on(data, small, tmp_path):
    run = tmp_path / "run"
    assert "done" in train(data, small, run, "--iterations", "3").communicate(timeout=120)[0]
    assert checkpoint.load(run)["iteration"] == 3

    going = train(data, small, run, "--iterations", "100000", "--checkpoint-minutes", "0.001")
    while checkpoint.load(run)["iteration"] < 8:
        assert going.poll() is None
    going.send_signal(signal.SIGTERM)
    output = going.communicate(timeout=60)[0]
    assert "going on at iteration 3" in output and "stopped at iteration" in output
    state = checkpoint.load(run)
    assert state["iteration"] >= 8
    # Two batches an epoch: four upright pages, while the wide one is alone.
    epoch, batch = state["position"]
    assert 2 * epoch + batch == state["iteration"]

    cfg = config.read(run / "training.yaml")
    written = torch.load(run / "model_final.pth", weights_only=True)["model"]
    missing, unexpected = GeneralizedRCNN(cfg).load_state_dict(written, strict=False)
    assert not unexpected and all("num_batches_tracked" in name for name in missing)
    assert "TRAIN" not in yaml.safe_load((run / "config.yaml").read_text())


def test_batches_keep_boxes_on_their_pages(data, small):
    cfg = config.read(small)
    cfg.TRAIN.update(ZOOM_PROB=1.0, FLIP_PROB=0.5, PHOTOMETRIC_PROB=1.0, INVERT_PROB=0.5)
    maker, jobs = loader.Maker(cfg), iter(loader.Order([data], cfg, seed=1))
    for _ in range(20):
        batch = maker[next(jobs)]
        assert batch.pixels.shape[2] % 32 == batch.pixels.shape[3] % 32 == 0
        for (height, width), boxes, classes in zip(batch.sizes, batch.boxes, batch.classes):
            assert len(boxes) == len(classes)
            assert (boxes >= 0).all() and (boxes <= torch.tensor([width, height, width, height]) + 1e-3).all()


def test_an_order_is_the_same_again_and_new_each_epoch(data, small):
    cfg = config.read(small)
    def paths(order, count):
        jobs = iter(order)
        return [[page.path.name for page in next(jobs).pages] for _ in range(count)]

    whole = paths(loader.Order([data], cfg, 7), 12)
    assert paths(loader.Order([data], cfg, 7, position=(2, 1)), 7) == whole[5:]
    assert len({str(whole[i : i + 2]) for i in range(0, 12, 2)}) > 1


def test_pages_grow_with_the_stages(data):
    cfg = config.read(TRAINING / "configs/narrow.yaml")
    cfg.SOLVER.IMS_PER_BATCH, cfg.TRAIN.STAGES, cfg.INPUT.MIN_SIZE_TRAIN = 1, [[0.2, [32, 40]], [0.5, [64]]], [96, 128]
    now = iter((0.0, 0.1, 0.19, 0.2, 0.49, 0.5, 0.9, 1.0))
    jobs = itertools.islice(loader.Order([data], cfg, 7, progress=lambda: next(now)), 8)
    for job, sizes in zip(jobs, [{32, 40}] * 3 + [{64}] * 2 + [{96, 128}] * 3):
        assert job.min_size in sizes


def test_flip_is_its_own_inverse(data):
    page = shards.scan([data], config.DEFAULTS["TRAIN"]["CLASSES"])[0]
    image = Image.open(page.path)
    _, boxes = augment.flip(*augment.flip(image, page.boxes))
    assert np.allclose(boxes, page.boxes)


def test_fine_tuning_keeps_what_fits(data, small, tmp_path):
    first = tmp_path / "first"
    assert "done" in train(data, small, first, "--iterations", "1").communicate(timeout=120)[0]
    cfg = config.read(small)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    model = GeneralizedRCNN(cfg)
    anew = checkpoint.begin_with(model, first / "model_final.pth")
    predictor = "roi_heads.box_predictor."
    assert sorted(anew) == [predictor + name for name in ("bbox_pred.bias", "bbox_pred.weight", "cls_score.bias", "cls_score.weight")]
    written = torch.load(first / "model_final.pth", weights_only=True)["model"]
    stem = "backbone.bottom_up.stem.conv1.weight"
    assert torch.equal(model.state_dict()[stem], written[stem].float())


def test_labelme_files_become_a_shard(tmp_path):
    labelled = tmp_path / "labelled"
    labelled.mkdir()
    Image.new("RGB", (120, 160)).save(labelled / "a.png")
    page = {"imagePath": "a.png", "imageWidth": 120, "imageHeight": 160}
    page["shapes"] = [{"label": "table", "points": [[50, 20], [10, 60]]}]
    (labelled / "a.json").write_text(json.dumps(page))
    assert labelme.convert(labelled, tmp_path / "mine", ["text", "table"]) == 1
    (found,) = shards.scan([tmp_path / "mine"], ["text", "table"])
    assert found.boxes.tolist() == [[10, 20, 50, 60]] and found.classes.tolist() == [1] and found.path.exists()
    with pytest.raises(ValueError, match="'table' is not among"):
        labelme.convert(labelled, tmp_path / "again", ["text"])
