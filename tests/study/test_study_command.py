"""The command line of the study says what cannot work before anything is drawn or trained."""

import json
import os
import subprocess
import sys

import pytest

from mgimm_plugin.errors import MgimmError
from scripts.study.data import TEST, draw
from scripts.study.jobs import ROOT
from scripts.study.run import check_named, main
from scripts.study.systems import SCALES


@pytest.fixture
def study(tmp_path, capsys):
    """Run the command in a folder; the error that ended it, which left nothing behind."""

    def run(*flags):
        folder = tmp_path / "study"
        assert main(["--output", str(folder), *map(str, flags)]) == 1
        assert not folder.exists()
        return capsys.readouterr().err

    return run


def test_threads_are_divided_where_no_process_is_bound_to_cores(study, tmp_path, monkeypatch):
    """As on macOS and Windows."""
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    study("--jobs", 2, "--docs", tmp_path)
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_a_page_without_a_place_for_results_is_said_first(study, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- results: begin -->\n<!-- results: end -->\n")
    assert "page.md: needs the lines <!-- exploratory: begin -->" in study("--docs", page, "--fresh", 1)
    assert "is a folder" in study("--docs", tmp_path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("medium --only multi_grained --seeds 0 3 4", "multi_grained has seeds below 3, not 3"),
        ("medium --only rim_depth_1 --seeds 1 2", "rim_depth_1 has seeds below 1, not 1"),
        ("medium --seeds 3 4", "no row has seed 3; no row has seed 4"),
        ("full --seeds -1", "no row has seed -1"),
        ("full --only multi_grained image_only --modes true", "image_only is asked with none, not with true"),
    ],
)
def test_seeds_and_modes_that_a_named_row_does_not_have_are_said_first(study, flags, said):
    assert said in study("--scale", *flags.split())


@pytest.mark.parametrize(("page", "flags"), [("benchmark.md", []), ("benchmark_rim.md", ["--fresh", "2"])])
def test_the_tables_of_the_documentation_are_those_of_the_kept_files(page, flags, tmp_path, study):
    """Whoever doubts a figure can make it again; nothing is run for it."""
    assert "holds no result files" in study("--tables")
    written = ROOT / "docs" / page
    again = tmp_path / page
    again.write_text(written.read_text())
    kept = ROOT / "docs" / "results" / "medium"
    before = sorted(kept.rglob("*"))
    assert main(["--scale", "medium", "--tables", "--output", str(kept), "--docs", str(again), *flags]) == 0
    assert again.read_text() == written.read_text()
    pictures = {path.name for path in (tmp_path / "images").iterdir()}
    assert pictures == {path.name for path in (ROOT / "docs" / "images").glob(f"{again.stem}-medium-*.png")}
    assert sorted(kept.rglob("*")) == before


def test_rows_of_a_size_may_differ_in_seeds_and_modes():
    """Machines divide a study by seeds, and not every row has five; rows are compared that are asked differently."""
    check_named(SCALES["full"], None, [3, 4], ["true"])
    check_named(SCALES["medium"], ["multi_grained", "image_only"], [0, 2], ["true", "none"])


@pytest.mark.parametrize(("flag", "value", "least"), [("--jobs", 0, 1), ("--fresh", -1, 0)])
def test_numbers_that_cannot_be_meant_are_bad_usage(flag, value, least, capsys):
    with pytest.raises(SystemExit) as ended:
        main([flag, str(value)])
    assert ended.value.code == 2
    assert f"argument {flag}: {value} is below {least}" in capsys.readouterr().err


def test_a_base_that_is_no_folder_and_not_on_the_hub_is_said_first(study):
    assert "none/such: no such folder, and not to be had from the Hub" in study("--llm", "none/such")


def test_bases_may_be_on_the_hub(tmp_path):
    for name in ("llm", "tower"):
        repository = tmp_path / "home" / "hub" / f"models--some--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("0" * 40)
        (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
        (repository / "snapshots" / ("0" * 40) / "config.json").write_text('{"model_type": "llama"}')
    code = """if True:
        import sys
        from pathlib import Path
        from scripts.study.jobs import Study
        from scripts.study.recipes import Bases
        from scripts.study.run import check_same_study
        from scripts.study.systems import SCALES
        for llm in sys.argv[2:]:
            check_same_study(Study(SCALES["small"], Bases(llm, "some/tower"), Path(sys.argv[1])))
    """
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}",
    }
    command = [sys.executable, "-c", code, str(tmp_path / "study"), "some/llm", "some/llm", "some/tower"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stderr.strip().endswith("has parts of a study with another llm; name another --output")
    assert json.loads((tmp_path / "study" / "study.json").read_text())["llm"] == "some/llm"


def test_a_set_that_cannot_be_drawn_is_named(tmp_path):
    (tmp_path / "test" / "images").mkdir(parents=True)
    with pytest.raises(MgimmError, match=r"test: mgimm scenes ended with status 1; what it said is above"):
        draw([TEST], SCALES["small"], tmp_path)
