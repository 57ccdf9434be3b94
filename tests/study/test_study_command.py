"""The command line of the study says what cannot work before anything is drawn or trained."""

import pytest

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


def test_a_page_without_a_place_for_results_is_said_first(study, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- results: begin -->\n<!-- results: end -->\n")
    assert "page.md: needs the lines <!-- exploratory: begin -->" in study("--docs", page, "--fresh", 1)
    assert "is a folder" in study("--docs", tmp_path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            "medium --only multi_grained --seeds 0 3 4",
            "multi_grained has seeds below 3, not 3",
        ),
        ("medium --only rim_depth_1 --seeds 1 2", "rim_depth_1 has seeds below 1, not 1"),
        ("medium --seeds 3 4", "no row has seed 3; no row has seed 4"),
        ("full --seeds -1", "no row has seed -1"),
        ("full --only multi_grained image_only --modes true", "image_only is asked with none, not with true"),
    ],
)
def test_seeds_and_modes_that_a_named_row_does_not_have_are_said_first(study, flags, said):
    assert said in study("--scale", *flags.split())


def test_rows_of_a_size_may_differ_in_seeds_and_modes():
    """Machines divide a study by seeds, and not every row has five; rows are compared that are asked differently."""
    check_named(SCALES["full"], None, [3, 4], ["true"])
    check_named(SCALES["medium"], ["multi_grained", "image_only"], [0, 2], ["true", "none"])
