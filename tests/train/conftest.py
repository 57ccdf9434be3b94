"""A few drawn scenes, and runs of both stages on tiny models that many tests build on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Bench:
    """The folders that a run needs."""

    llm: Path
    tower: Path
    data: Path

    @property
    def region_data(self) -> Path:
        return self.data / "region.jsonl"

    @property
    def image_data(self) -> Path:
        return self.data / "image.jsonl"

    @property
    def mixed_data(self) -> Path:
        """Text-only records, images without regions, image and region records, in blocks: ranks get different kinds."""
        return self.data / "mixed.jsonl"

    def region_flags(self, output: Path, **more: object) -> list[str]:
        """Flags of a short region stage; keywords replace them, None leaves one out."""
        return flags(
            {
                "stage": "region",
                "model_name_or_path": self.llm,
                "vision_tower": self.tower,
                "data_path": self.region_data,
                "image_folder": self.data,
                "output_dir": output,
                "mm_region_mlp_dim": 64,
                "learning_rate": 4e-3,
                "max_steps": 4,
                "per_device_train_batch_size": 4,
                "save_strategy": "no",
                "logging_steps": 1,
                "report_to": "none",
                "use_cpu": True,
                "disable_tqdm": True,
                "seed": 1,
            }
            | more
        )

    def image_flags(self, start: Path, output: Path, **more: object) -> list[str]:
        """Flags of a short image stage that starts from a region checkpoint."""
        return self.region_flags(
            output,
            **{
                "stage": "image",
                "model_name_or_path": start,
                "vision_tower": None,
                "mm_region_mlp_dim": None,
                "data_path": self.image_data,
                "region_data_path": self.region_data,
                "lora_r": 4,
                "lora_alpha": 8,
            }
            | more,
        )


def flags(values: dict[str, object]) -> list[str]:
    """``--name value`` pairs; lists give several values."""
    out: list[str] = []
    for name, value in values.items():
        if value is not None:
            out += [f"--{name}", *map(str, value if isinstance(value, (list, tuple)) else [value])]
    return out


def losses(run: Path) -> list[float]:
    """The training loss of each logged step of a run."""
    history = json.loads((run / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


@pytest.fixture(scope="session")
def bench(tiny_llm, tiny_tower, tmp_path_factory) -> Bench:
    from mgimm_plugin.data.scenes import write_scenes

    data = tmp_path_factory.mktemp("scenes") / "data"
    write_scenes(data, count=8, seed=25, size=64, workers=1)
    region = [json.loads(line) for line in (data / "region.jsonl").read_text().splitlines()]
    image = [json.loads(line) for line in (data / "image.jsonl").read_text().splitlines()]
    for record in image:
        # Three sentences: the tiny model has a context of 512, and its tokenizer spells most of the words.
        answer = record["conversations"][1]
        answer["value"] = ". ".join(answer["value"].rstrip(".").split(". ")[:3]) + "."
    (data / "image.jsonl").write_text("".join(json.dumps(record) + "\n" for record in image))
    text = [
        {
            "id": f"text-{i}",
            "conversations": [
                {"from": "human", "value": "What is larger, a tank or an image?"},
                {"from": "gpt", "value": f"The tank, by {i}."},
            ],
        }
        for i in range(16)
    ]
    plain = [
        {
            "id": f"plain-{i}",
            "image": record["image"],
            "conversations": [
                {"from": "human", "value": "<image>\nDescribe this remote sensing image."},
                {"from": "gpt", "value": record["conversations"][1]["value"]},
            ],
        }
        for i, record in enumerate(image)
    ]
    mixed = [*text, *plain[:4], *image[:4], *region[:8]]
    (data / "mixed.jsonl").write_text("".join(json.dumps(record) + "\n" for record in mixed))
    return Bench(tiny_llm("llama"), tiny_tower, data)


@pytest.fixture(scope="session")
def train() -> Callable[[list[str]], object]:
    """Run a stage in this process; returns the trainer."""
    import mgimm_plugin

    mgimm_plugin.register()
    from mgimm_plugin.train.command_line import parse_arguments
    from mgimm_plugin.train.stages import run_stage

    return lambda argv: run_stage(*parse_arguments(argv))


@pytest.fixture(scope="session")
def region_run(bench, train, tmp_path_factory) -> Path:
    """A finished region stage over mixed records; its losses are what several ranks are compared with."""
    output = tmp_path_factory.mktemp("region") / "run"
    train(bench.region_flags(output, data_path=bench.mixed_data))
    return output


@pytest.fixture
def fail(train, capfd):
    """Run ``main`` and return its exit status and what it wrote to standard error."""
    from mgimm_plugin.train.stages import main

    def run(argv):
        capfd.readouterr()
        try:
            status = main(argv)
        except SystemExit as error:
            status = error.code
        return status, capfd.readouterr().err

    return run
