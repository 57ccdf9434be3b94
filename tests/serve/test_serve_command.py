"""What ``mgimm serve`` makes of its options."""

import socket

import pytest
from typer.testing import CliRunner

from mgimm_plugin.cli import app
from mgimm_plugin.model.folders import CheckpointKind

pytest.importorskip("fastapi")
listening = pytest.importorskip("mgimm_plugin.serve.listening")


@pytest.fixture
def serve(monkeypatch):
    """Runs the command up to where it listens; a client of what it would have served."""
    from fastapi.testclient import TestClient

    served = []
    monkeypatch.setattr(listening, "listen", lambda app, **_: served.append(app))

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


@pytest.mark.parametrize(
    ("args", "variable", "told"),
    [
        (["--api-key", ""], "another", "is empty"),
        ([], " \n", "is empty"),
        ([], "two\nlines", "has a line break"),
    ],
)
def test_a_key_that_no_client_can_send_is_bad_usage_before_a_model_is_loaded(args, variable, told):
    result = CliRunner(env={"MGIMM_API_KEY": variable}).invoke(app, ["serve", "--model", "there/is/none", *args])
    assert result.exit_code == 2
    assert f"the API key (--api-key, MGIMM_API_KEY) {told}" in result.stderr


def test_what_is_no_host_name_is_bad_usage_before_a_model_is_loaded():
    result = CliRunner().invoke(app, ["serve", "--model", "there/is/none", "--allowed-host", "https://one.example"])
    assert result.exit_code == 2
    assert "--allowed-host 'https://one.example' is no host name" in result.stderr


def test_an_address_that_cannot_be_listened_at_is_told_before_a_model_is_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "--model", "there/is/none", "--port", port])
    assert result.exit_code == 1
    assert result.stderr == f"mgimm serve: port {port} is in use; choose another --port\n"
    result = CliRunner().invoke(app, ["serve", "--model", "there/is/none", "--host", "192.0.2.1", "--api-key", "k"])
    assert "cannot listen at 192.0.2.1, port 8000" in result.stderr
