import json

import pytest

from mgimm_plugin import doctor as module
from mgimm_plugin.doctor import doctor


def test_report_names_versions_patches_and_commands():
    report = doctor()
    assert report.healthy
    text = report.render()
    for word in ("transformers", "llava-torch", "training-imports", "Java", "CUDA", "playground"):
        assert word in text
    assert json.loads(json.dumps(report.as_dict()))["healthy"] is True
    assert {p.state for p in report.patches if p.name == "loader"} == {"applied"}


def test_missing_extra_is_named_with_the_command_it_is_for(monkeypatch):
    def version(name, real=module.importlib.metadata.version):
        if name in ("gradio", "matplotlib", "rasterio"):
            raise module.importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(module.importlib.metadata, "version", version)
    monkeypatch.setattr(module, "_declared_ranges", dict)
    monkeypatch.setattr(module.shutil, "which", lambda program: None)
    report = doctor()
    lacking = {command.command: " ".join(command.missing) for command in report.commands}
    assert "mgimm-plugin[demo]" in lacking["playground"]
    assert "mgimm-plugin[demo]" in lacking["llava serve.gradio_web_server"]
    assert "matplotlib (pip install 'mgimm-plugin[data]')" in lacking["stats --output, preview"]
    assert "mgimm-plugin[geo]" in lacking["prepare geojson"]
    assert "Java" in lacking["evaluate: caption scores"]
    assert not lacking["describe, train"]
    assert report.healthy


@pytest.mark.parametrize(("package", "command"), [("torch", "describe, train"), ("gradio", "playground")])
def test_a_package_outside_its_range_is_lacking_and_the_core_decides_about_health(monkeypatch, package, command):
    monkeypatch.setattr(module, "_declared_ranges", lambda: {package: ">=999"})
    report = doctor()
    lacking = {command.command: " ".join(command.missing) for command in report.commands}
    assert f"{package}>=999" in lacking[command]
    assert f"{package}>=999" in lacking["llava serve.gradio_web_server"]
    assert report.healthy == (package == "gradio")


def test_gpus_that_torch_cannot_use_are_a_problem_with_what_to_do(old_driver):
    report = doctor()
    assert report.devices == ()
    assert "driver on your system is too old" in report.as_dict()["gpu_problem"]
    (line,) = [line for line in report.render().splitlines() if line.startswith("CUDA: ")]
    assert line.startswith("CUDA: problem: the GPUs here cannot be used by torch ")
    assert "; install a newer driver, or a torch that was built for this driver's CUDA" in line


def test_without_a_gpu_there_is_no_problem(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    report = doctor()
    assert report.gpu_problem is None
    assert "\nCUDA: none, the CPU is used\n" in report.render()
