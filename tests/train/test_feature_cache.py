"""Training on cached features is training on images, and nothing stale is ever taken from the cache."""

import copy
import dataclasses
import functools
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

from mgimm_plugin.data.encoding import ImageEncoder
from mgimm_plugin.errors import ImageError, MgimmError
from mgimm_plugin.model.vision_features import encode_vision
from tests.train.conftest import losses
from tests.train.launch import start
from tests.train.test_ranks import MODES


@pytest.fixture
def no_images(monkeypatch):
    """Make opening an image an error."""
    from mgimm_plugin.data import encoding

    def use():
        def refuse(path, **_):
            raise AssertionError(f"{path} was opened")

        monkeypatch.setattr(encoding, "open_image", refuse)

    return use


@pytest.fixture
def tower_passes(monkeypatch):
    """The number of images (or views) of each pass of a tower."""
    from llava.model.multimodal_encoder.clip_encoder import CLIPVisionTower

    passes: list[int] = []
    original = CLIPVisionTower.forward
    monkeypatch.setattr(CLIPVisionTower, "forward", lambda self, x: passes.append(len(x)) or original(self, x))
    return passes


def test_both_stages_learn_the_same_from_features_and_read_no_image_again(
    bench, train, tmp_path, no_images, tower_passes
):
    settings = {"per_device_train_batch_size": 2, "eval_data_path": bench.region_data, "eval_strategy": "epoch"}
    settings |= {"data_path": [bench.mixed_data, bench.image_data]}
    region, image = tmp_path / "region", tmp_path / "image"
    train(bench.region_flags(region, **settings))
    train(bench.image_flags(region, image, **settings))
    cache = {"vision_feature_cache": tmp_path / "cache", "dataloader_num_workers": 1}
    tower_passes.clear()
    train(bench.region_flags(tmp_path / "region-cached", **settings, **cache))
    assert tower_passes == [8]
    tower_passes.clear()
    no_images()
    train(bench.image_flags(region, tmp_path / "image-cached", **settings, **cache))
    assert not tower_passes
    for run in (region, image):
        cached = run.with_name(f"{run.name}-cached")
        assert losses(cached) == pytest.approx(losses(run), rel=1e-6)
        assert evaluation_loss(cached) == pytest.approx(evaluation_loss(run), rel=1e-6)


def evaluation_loss(run: Path) -> float:
    return json.loads((run / "trainer_state.json").read_text())["log_history"][-2]["eval_loss"]


@pytest.mark.parametrize("how", [{"image_aspect_ratio": "anyres"}, {"bf16": True}])
def test_views_and_half_precision_give_the_same_too(bench, train, tmp_path, how):
    for run, cache in (("plain", None), ("cached", tmp_path / "cache")):
        train(bench.region_flags(tmp_path / run, data_path=bench.mixed_data, vision_feature_cache=cache, **how))
    assert losses(tmp_path / "cached") == pytest.approx(losses(tmp_path / "plain"), rel=1e-6)


@pytest.fixture
def make_set(bench, tiny_loaded, train, tmp_path):
    """The data set of a run on cached features of a few images, which the test may change; and its tower."""
    from mgimm_plugin.train.command_line import parse_arguments
    from mgimm_plugin.train.stages import build_data

    data = tmp_path / "data"
    if not data.exists():
        shutil.copytree(bench.data, data)

    def make(**more):
        flags = {"data_path": data / "image.jsonl", "image_folder": data, "vision_feature_cache": tmp_path / "cache"}
        _, data_args, args = parse_arguments(bench.region_flags(tmp_path / "run", **(flags | more)))
        return build_data(tiny_loaded.model, tiny_loaded.tokenizer, data_args, args)[0]

    return make, data, tiny_loaded.model.get_vision_tower()


def feature_of(tower, images, file) -> torch.Tensor:
    return encode_vision(tower, images.encode_image(images.open(file))[None]).base[0]


def test_a_replaced_image_gets_its_own_features(make_set):
    make, data, tower = make_set
    before = make()
    record = before.record(0, 2)
    file = data / record.image
    old, stat = before[2]["image"].clone(), file.stat()
    ImageOps.mirror(Image.open(file)).save(file, quality=95)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(ImageError, match=f"{file.name} has changed since this run began"):
        before[2]
    after = make()[2]["image"]
    torch.testing.assert_close(after, feature_of(tower, before.encoder.images, file), rtol=1e-5, atol=1e-5)
    assert (after - old).abs().max() > 0.01


def test_only_new_images_are_encoded(make_set, tower_passes):
    make, data, _ = make_set
    lines = (data / "image.jsonl").read_text().splitlines(keepends=True)
    (data / "some.jsonl").write_text("".join(lines[:5]))
    make(data_path=data / "some.jsonl")
    make()
    make(stage="image", region_data_path=data / "region.jsonl")
    assert tower_passes == [5, 3]


@pytest.fixture
def cache_settings(train):
    """The function, which can be imported only when the plugin is active."""
    from mgimm_plugin.train import feature_cache

    return feature_cache.cache_settings


def test_data_without_images_needs_no_features(make_set, tower_passes, tmp_path):
    make, _, _ = make_set
    text = {"id": "a", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello."}]}
    (tmp_path / "text.jsonl").write_text(json.dumps(text) + "\n")
    assert make(data_path=tmp_path / "text.jsonl")[0]["image"] is None
    assert not tower_passes


CHANGES = {
    "weights": lambda tower, images: next(tower.parameters()).data.add_(1e-3),
    "another layer": lambda tower, images: setattr(tower, "select_layer", -1),
    "another selection": lambda tower, images: setattr(tower, "select_feature", "cls_patch"),
    "precision": lambda tower, images: tower.to(torch.bfloat16),
    "frame size": lambda tower, images: setattr(images.image_processor, "size", {"shortest_edge": 28}),
    "colors": lambda tower, images: setattr(images.image_processor, "image_mean", [0.5, 0.5, 0.5]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_tower_or_preprocessing_has_a_cache_of_its_own(tiny_loaded, cache_settings, change):
    tower = copy.deepcopy(tiny_loaded.model.get_vision_tower())
    images = ImageEncoder(copy.deepcopy(tower.image_processor), "pad")
    before = cache_settings(tower, images)
    assert cache_settings(tower, images) == before
    CHANGES[change](tower, images)
    assert cache_settings(tower, images) != before


def test_each_way_to_fit_an_image_has_a_cache_of_its_own(tiny_loaded, cache_settings):
    tower = tiny_loaded.model.get_vision_tower()
    encoders = [ImageEncoder(tower.image_processor, mode) for mode in ("pad", "resize", "square")]
    encoders += [ImageEncoder(tower.image_processor, "anyres", canvases) for canvases in ([[112, 56]], [[56, 112]])]
    settings = [json.dumps(cache_settings(tower, images), sort_keys=True) for images in encoders]
    assert len(set(settings)) == len(encoders)
    # Larger images being refused changes nothing about the others.
    assert cache_settings(tower, dataclasses.replace(encoders[0], max_pixels=10_000)) == json.loads(settings[0])


def test_a_bad_image_is_told_when_its_record_is(make_set, tmp_path):
    make, data, _ = make_set
    records = make()
    (data / records.record(0, 1).image).write_bytes(b"no image")
    (data / records.record(0, 2).image).unlink()
    shutil.rmtree(tmp_path / "cache")
    strict = make()
    assert strict[0]["image"].shape == (16, 32)
    with pytest.raises(ImageError, match=f"index 1, record {strict.record(0, 1).id}.* is not an image"):
        strict[1]
    with pytest.raises(ImageError, match=r"index 2, .* does not exist"):
        strict[2]
    lenient = make(on_error="skip")
    assert lenient[1]["id"] == lenient.record(0, 3).id
    assert lenient.skipped == 2


@pytest.mark.parametrize(("mode", "room"), [("pad", r"8 images, 1\.64e-05 GB"), ("anyres", r"8 images, up to")])
def test_a_disk_without_room_is_told_before_anything_is_encoded(
    bench, train, tmp_path, tower_passes, monkeypatch, mode, room
):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    flags = bench.region_flags(
        tmp_path / "run", image_aspect_ratio=mode, vision_feature_cache=tmp_path / "cache", data_path=bench.image_data
    )
    with pytest.raises(MgimmError, match=f"no room in .* for the features of {room}.*1e-06 GB are free"):
        train(flags)
    assert not tower_passes


def stand_still_after(marker: Path, shards: int) -> None:
    """Make filling stand still when some shards, of two images each, are written and another one half so."""
    from mgimm_plugin.data import whole_files
    from mgimm_plugin.train import feature_cache

    feature_cache.IMAGES_PER_SHARD = feature_cache.IMAGES_PER_PASS = 2
    written = []
    replace = whole_files.os.replace

    def counted(source, target):
        if str(target).endswith(".safetensors"):
            written.append(target)
            if len(written) > shards:
                marker.touch()
                time.sleep(3600)
        replace(source, target)

    whole_files.os.replace = counted


def test_a_killed_fill_goes_on_where_it_stopped(bench, train, tmp_path, tower_passes):
    cache, marker = tmp_path / "cache", tmp_path / "marker"
    plain, cached = tmp_path / "plain", tmp_path / "cached"
    flags = bench.region_flags(cached, vision_feature_cache=cache)
    run = start(flags, tmp_path / "log", before=functools.partial(stand_still_after, marker, 2))
    run.kill_when(marker.exists)
    assert len(list(cache.glob("*/*.safetensors"))) == 2
    train(flags)
    assert tower_passes == [4]  # of 8
    train(bench.region_flags(plain))
    assert losses(cached) == pytest.approx(losses(plain), rel=1e-6)


def no_tower_in_training() -> None:
    """Make a tower pass in training an error."""
    from llava.model.multimodal_encoder.clip_encoder import CLIPVisionTower

    from mgimm_plugin.train.trainer import MgimmTrainer

    original = MgimmTrainer.training_step

    def training_step(self, *args, **kwargs):
        CLIPVisionTower.forward = None
        return original(self, *args, **kwargs)

    MgimmTrainer.training_step = training_step


@pytest.mark.parametrize("mode", ["ddp", "zero3"])
def test_two_ranks_share_the_work_and_follow_one_without_a_cache(bench, region_run, tmp_path, mode):
    run = tmp_path / "run"
    flags = bench.region_flags(
        run,
        data_path=bench.mixed_data,
        per_device_train_batch_size=2,
        deepspeed=MODES[mode],
        vision_feature_cache=tmp_path / "cache",
    )
    start(flags, tmp_path / "log", ranks=2, before=no_tower_in_training).wait()
    assert losses(run) == pytest.approx(losses(region_run), rel=1e-4)
    assert len(list((tmp_path / "cache").glob("*/*.safetensors"))) == 2  # one of each rank
