"""Two ranks, with and without DeepSpeed, follow one rank."""

from pathlib import Path

import pytest

from tests.train.conftest import losses
from tests.train.launch import start

ROOT = Path(__file__).resolve().parents[2]
MODES = {"ddp": None, "zero2": ROOT / "scripts" / "zero2.json", "zero3": ROOT / "scripts" / "zero3.json"}


def check_checkpoint(folder: Path, picture: Path) -> None:
    from mgimm_plugin.predictor import Predictor

    predictor = Predictor.from_pretrained(folder, device="cpu")
    predictor.set_image(picture)
    assert len(predictor.describe_regions([(4, 4, 30, 40)], max_new_tokens=4)) == 1


@pytest.fixture(scope="session")
def image_run(bench, train, region_run, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("image") / "run"
    train(bench.image_flags(region_run, output, data_path=bench.mixed_data, lora_dropout=0))
    return output


@pytest.mark.parametrize("mode", MODES)
def test_two_ranks_follow_one(bench, region_run, image_run, tmp_path, mode):
    more = {"data_path": bench.mixed_data, "per_device_train_batch_size": 2, "deepspeed": MODES[mode]}
    region, image = tmp_path / "region", tmp_path / "image"
    runs = [
        start(bench.region_flags(region, **more), tmp_path / "region.log", ranks=2),
        start(bench.image_flags(region_run, image, lora_dropout=0, **more), tmp_path / "image.log", ranks=2),
    ]
    for run in runs:
        run.wait()
    assert losses(region) == pytest.approx(losses(region_run), rel=1e-3)
    assert losses(image) == pytest.approx(losses(image_run), rel=1e-3)
    picture = next((bench.data / "images").iterdir())
    for folder in (region, image):
        check_checkpoint(folder, picture)
