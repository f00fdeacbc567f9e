"""A set is the same again, its pages are where their boxes say, and a run leaves a model that can be joined."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detectron import config
from detectron.rcnn import GeneralizedRCNN
from gpu import batches, drawn, pack, pages, parts, pixels

TRAINING = Path(__file__).parent.parent.parent
CLASSES = config.DEFAULTS["TRAIN"]["CLASSES"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return drawn.pack_some(tmp_path_factory.mktemp("drawn"), CLASSES, 20)


def test_a_set_is_the_same_again_and_its_damage_is_seen(packed, tmp_path):
    again = drawn.pack_some(tmp_path, CLASSES, 20)
    for name in (pack.PAGES, pack.LABELS, pack.MANIFEST):
        assert (again / name).read_bytes() == (packed / name).read_bytes()
    with (again / pack.PAGES).open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    with pytest.raises(ValueError, match="is damaged"):
        pages.load(again, CLASSES, 1)


def test_pages_come_back_with_their_boxes(packed, tmp_path):
    """Drawn figures are full of their colour up to their boxes' edges."""
    found = pages.load(packed, CLASSES, 2)
    assert len(found) == 20 and found.held_out == 8
    originals = [drawn.page(tmp_path / "page.png", dice, CLASSES) for dice in [random.Random(1)] for _ in range(20)]
    for i, original in enumerate(originals):
        scale = np.array([found.sizes[i][1] / original.width, found.sizes[i][0] / original.height] * 2)
        assert np.abs(found.boxes[i] - original.boxes * scale).max() < 0.04
        assert (found.classes[i] == original.classes).all()


def test_a_window_is_resized_as_pillow_resizes_it():
    torch.manual_seed(1)
    page = torch.randint(0, 255, (1, 3, 96, 96), dtype=torch.uint8)
    window, size = (10, 6, 60, 80), (50, 44)
    ours = pixels.resample(page, torch.tensor([window], dtype=torch.float32), torch.tensor([size]), (64, 64))[0, :, :50, :44]
    image = Image.fromarray(page[0].permute(1, 2, 0).numpy()).crop((10, 6, 70, 86)).resize((44, 50), Image.Resampling.BILINEAR)
    assert np.abs(ours.numpy() - np.asarray(image).transpose(2, 0, 1)).max() < 1.1


def test_batches_keep_boxes_on_their_pages(packed):
    cfg = drawn.small(config.read("configs/medium.yaml"))
    cfg.TRAIN.ZOOM_PROB = 0.7
    order = iter(batches.Order(pages.load(packed, CLASSES, 1), cfg, 1, lambda: 1.0))
    for _ in range(12):
        batch = next(order)
        assert batch.boxes.shape[1] % 16 == 0 and batch.pages.min() >= 8
        assert (batch.sizes <= torch.tensor(batch.shape)).all()
        real = batch.classes >= 0
        limit = batch.sizes.flip(1).repeat(1, 2)[:, None].expand_as(batch.boxes)
        assert real.any() and (batch.boxes[real] >= 0).all() and (batch.boxes[real] <= limit[real]).all()


def test_parts_of_two_models_are_not_taken_together(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART", 10_000)
    cfg = drawn.small(config.read("configs/medium.yaml"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert parts.write(tmp_path / name, GeneralizedRCNN(cfg), cfg, iteration=3) > 3
    assert parts.join(tmp_path / "a", tmp_path / "model") == {"iteration": 3}
    shutil.copyfile(tmp_path / "b/model.1", tmp_path / "a/model.1")
    with pytest.raises(ValueError, match="not of one model"):
        parts.read(tmp_path / "a")


def test_a_run_ends_in_time_with_a_model(packed, tmp_path):
    command = [sys.executable, TRAINING / "gpu/run", "--smoke", "--set", packed, "--out", tmp_path, "--seconds", "30"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=700, check=True).stdout
    assert "iteration" in output
    cfg = config.read(tmp_path / "joined/training.yaml")
    written = torch.load(tmp_path / "joined/model_final.pth", weights_only=True)["model"]
    missing, unexpected = GeneralizedRCNN(cfg).load_state_dict(written, strict=False)
    assert not unexpected and all("num_batches_tracked" in name for name in missing)
