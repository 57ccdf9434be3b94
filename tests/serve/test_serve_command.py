"""What ``mgimm serve`` makes of its options."""

import pytest
from typer.testing import CliRunner

from mgimm_plugin.cli import app
from mgimm_plugin.model.folders import CheckpointKind

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")


@pytest.fixture
def serve(monkeypatch):
    """Runs the command up to where it listens; a client of what it would have served."""
    from fastapi.testclient import TestClient

    served = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **_: served.append(app))

    def run(*args):
        result = CliRunner().invoke(app, ["serve", *args])
        assert result.exit_code == 0, result.output
        return TestClient(served.pop(), base_url="http://localhost")

    return run


def test_a_folder_gives_the_model_its_name_however_it_is_written(serve, checkpoint_tree, monkeypatch, tmp_path):
    folder = checkpoint_tree.checkpoint(CheckpointKind.FULL)
    (tmp_path / "newest").symlink_to(folder)
    monkeypatch.chdir(folder)
    for written, name in (
        (".", folder.name),
        (f"../{folder.name}/", folder.name),
        (str(tmp_path / "newest"), "newest"),
    ):
        with serve("--model", written) as client:
            assert [card["id"] for card in client.get("/v1/models").json()["data"]] == [name]


def test_names_of_proxies_can_be_allowed(serve, checkpoint_tree):
    allowed = ("--allowed-host", "one.example", "--allowed-host", "two.example")
    hosts = ("one.example", "two.example:443", "localhost", "three.example")
    with serve("--model", str(checkpoint_tree.checkpoint(CheckpointKind.FULL)), *allowed) as client:
        assert [client.get("/health", headers={"host": host}).status_code for host in hosts] == [200, 200, 200, 400]


def test_what_is_no_host_name_is_bad_usage_before_a_model_is_loaded():
    result = CliRunner().invoke(app, ["serve", "--model", "there/is/none", "--allowed-host", "https://one.example"])
    assert result.exit_code == 2
    assert "--allowed-host 'https://one.example' is no host name" in result.stderr
