"""The processes of the study: which GPU each sees, and in which precision they ask."""

import pytest

from mgimm_plugin.errors import MgimmError
from mgimm_plugin.resources import bundled_model
from scripts.study import jobs
from scripts.study.jobs import Study, _run
from scripts.study.recipes import Bases
from scripts.study.run import _all
from scripts.study.systems import SCALES, TRUE

TELL = """import os, pathlib, time
here = pathlib.Path({folder!r})
(here / str(os.getpid())).touch()
late = time.monotonic() + 60
while len(list(here.iterdir())) < {count} and time.monotonic() < late: time.sleep(0.01)
print(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))"""


@pytest.fixture
def gpus_of(tmp_path, monkeypatch):
    """Start jobs that all run at the same time; what each sees."""

    def run(count, visible, devices=0):
        monkeypatch.setattr("torch.cuda.device_count", lambda: devices)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        here = tmp_path / f"running-{len(list(tmp_path.iterdir()))}"
        here.mkdir()
        logs = [here.with_suffix(f".{number}.log") for number in range(count)]
        command = ["timeit", "-n1", "-r1", TELL.format(folder=str(here), count=count)]
        _all(count, [lambda log=log: _run(command, log) for log in logs])
        return sorted(log.read_text().split("\n")[0] for log in logs)

    return run


def test_jobs_that_run_at_once_see_a_gpu_each_of_those_that_are_visible(gpus_of):
    assert gpus_of(2, "3,5") == ["3", "5"]
    assert gpus_of(2, "GPU-a, GPU-b,GPU-c") == ["GPU-a", "GPU-b"]
    assert gpus_of(2, None, devices=4) == ["0", "1"]
    assert gpus_of(2, None, devices=4) == ["0", "1"]  # those before have given theirs back


def test_more_jobs_than_gpus_share_them_evenly(gpus_of):
    assert gpus_of(4, "3,5") == ["3", "3", "5", "5"]
    assert gpus_of(2, None, devices=1) == ["0", "0"]


def test_without_gpus_nothing_is_said_of_them(gpus_of):
    assert gpus_of(2, "") == ["", ""]
    assert gpus_of(2, None) == ["all", "all"]


def test_a_job_that_fails_gives_its_gpu_back(gpus_of, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with pytest.raises(MgimmError, match=r"timeit ended with status 1; its last words are in .*failed\.log"):
        _run(["timeit", "-n1", "-r1", "nothing_of_that_name"], tmp_path / "failed.log")
    assert gpus_of(1, "3,5") == ["3"]


def test_answers_are_asked_in_the_precision_of_the_training_on_every_device(tmp_path, monkeypatch):
    """What was trained is float32 everywhere; a GPU's default is not."""
    started = []
    monkeypatch.setattr(jobs, "_run", lambda command, log: started.append(command))
    playground = bundled_model().parent
    study = Study(SCALES["full"], Bases(str(playground / "mini-llama"), str(playground / "mini-clip")), tmp_path)
    jobs.evaluate(study, bundled_model(), "test", "region", TRUE, tmp_path / "answers")
    ((module, command, *flags),) = started
    assert (module, command) == ("mgimm_plugin", "evaluate")
    assert flags[flags.index("--dtype") + 1] == "float32"
