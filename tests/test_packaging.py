"""A wheel, installed elsewhere and used from the root folder, is complete."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.processes import started

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that a wheel of the checkout was installed into."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def run(installed, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd="/", env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_package_is_the_one_that_runs(installed):
    place = run(
        installed, "-c", "import mgimm_plugin, mgimm_patches; print(mgimm_plugin.__file__, mgimm_patches.__file__)"
    )
    assert all(Path(file).is_relative_to(installed) for file in place.split())


def test_an_installed_wheel_describes_an_image_from_the_root_folder(installed):
    image = next((installed / "mgimm_plugin" / "playground" / "examples" / "images").glob("*.jpg"))
    said = json.loads(run(installed, "-m", "mgimm_plugin", "describe", str(image), "--regions", "grid:1x2", "--json"))
    assert len(said["regions"]) == 2
    assert all(len(region["text"].split()) >= 3 for region in said["regions"])


def test_an_installed_wheel_serves_from_the_root_folder(installed):
    pytest.importorskip("fastapi")
    assert "--allow-remote-images" in run(installed, "-m", "mgimm_plugin", "serve", "--help")
    with started("-m", "mgimm_plugin", "serve", "--port", "0", cwd="/", PYTHONPATH=str(installed)) as address:
        assert httpx.get(f"{address}/health", timeout=60).json() == {"status": "ok"}
        assert [card["id"] for card in httpx.get(f"{address}/v1/models").json()["data"]] == ["mgimm-mini"]
