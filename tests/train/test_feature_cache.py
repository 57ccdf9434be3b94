"""Training on cached features is training on images, and nothing stale is ever taken from the cache."""


import pytest

from tests.train.conftest import losses


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


@pytest.mark.parametrize("how", ["pad", "anyres", "bf16"])
def test_both_stages_learn_the_same_from_features_and_read_no_image_again(
    bench, train, tmp_path, no_images, tower_passes, how
):
    settings = {"image_aspect_ratio": "anyres"} if how == "anyres" else {"bf16": how == "bf16"}
    settings |= {"data_path": [bench.mixed_data, bench.image_data], "per_device_train_batch_size": 2}
    region, image = tmp_path / "region", tmp_path / "image"
    train(bench.region_flags(region, **settings))
    train(bench.image_flags(region, image, **settings))
    cache = {"vision_feature_cache": tmp_path / "cache", "dataloader_num_workers": 1}
    tower_passes.clear()
    train(bench.region_flags(tmp_path / "region-cached", **settings, **cache))
    assert tower_passes, "the cache was filled"
    tower_passes.clear()
    no_images()
    train(bench.image_flags(region, tmp_path / "image-cached", **settings, **cache))
    assert not tower_passes
    assert losses(tmp_path / "region-cached") == pytest.approx(losses(region), rel=1e-6)
    assert losses(tmp_path / "image-cached") == pytest.approx(losses(image), rel=1e-6)
