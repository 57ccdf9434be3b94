"""The command line of the study says what cannot work before anything is drawn or trained."""

import pytest

from scripts.study.run import main


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
