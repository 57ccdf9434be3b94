"""What ``mgimm doctor`` reports: versions, patches, devices, and which command lacks what."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import mgimm_patches
from mgimm_patches import PatchStatus

from mgimm_plugin import __version__

DISTRIBUTION = "mgimm-plugin"
CORE = ("torch", "torchvision", "transformers", "peft", "accelerate", "safetensors")
PACKAGES = (
    *CORE,
    "llava-torch",
    "gradio",
    "gradio_image_annotation",
    "fastapi",
    "uvicorn",
    "httpx",
    "prometheus_client",
    "deepspeed",
    "pycocoevalcap",
    "matplotlib",
    "jinja2",
    "rasterio",
)
LLAVA_VERSION = "1.2.2.post1"
JAVA_HINT = "Java (on Debian and Ubuntu: apt-get install default-jre-headless)"


@dataclass(frozen=True, slots=True)
class PackageState:
    """One installed or missing package.

    Attributes:
        name: Distribution name.
        version: What is installed; None where it is missing.
        needed: The version range that the project declares; empty where it declares none.
        satisfied: Whether the installed version is in that range; None where the package is missing.
    """

    name: str
    version: str | None
    needed: str
    satisfied: bool | None


@dataclass(frozen=True, slots=True)
class CommandState:
    """A command, and what it lacks, in the version that is needed; nothing in ``missing`` means that it is ready."""

    command: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """The whole report.

    Attributes:
        python: Version of the interpreter.
        mgimm: Version of this project.
        packages: The packages that matter, in a fixed order.
        patches: The patches with their state in this process.
        devices: Names of the CUDA devices; empty on a CPU host, and where they cannot be used.
        gpu_problem: Why the GPUs that are there cannot be used, and what to do; None without such a problem.
        java: First line of ``java -version``; None where there is no Java.
        commands: Commands and what they lack.
    """

    python: str
    mgimm: str
    packages: tuple[PackageState, ...]
    patches: tuple[PatchStatus, ...]
    devices: tuple[str, ...]
    gpu_problem: str | None
    java: str | None
    commands: tuple[CommandState, ...]

    @property
    def healthy(self) -> bool:
        """The core works: nothing that every command needs is missing or outside its range, and no patch failed."""
        return not self.commands[0].missing and not any(patch.state.startswith("failed") for patch in self.patches)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, ready for JSON."""
        return {**asdict(self), "healthy": self.healthy}

    def render(self) -> str:
        """The report as text for a terminal."""
        return "\n".join(_lines(self))


def doctor() -> DoctorReport:
    """Look at the environment. Imports torch, and the modules of LLaVA that patches change, to learn their state."""
    needed = _declared_ranges()
    packages = tuple(_package(name, needed.get(name, "")) for name in PACKAGES)
    java = _java_version()
    devices, gpu_problem = _cuda_devices()
    return DoctorReport(
        python=platform.python_version(),
        mgimm=__version__,
        packages=packages,
        patches=tuple(_patch_states()),
        devices=devices,
        gpu_problem=gpu_problem,
        java=java,
        commands=tuple(_commands(packages, java is not None)),
    )


def _patch_states() -> list[PatchStatus]:
    """Import what the patches change, so that none is still pending; a target that lacks its extra stays pending."""
    from mgimm_plugin import register

    if find_spec("torch") is not None and find_spec("llava") is not None:
        register()
        mgimm_patches.import_targets()
    return mgimm_patches.status()


def _declared_ranges() -> dict[str, str]:
    """Version ranges from the installed project's metadata, by distribution name; empty in a bare checkout."""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    ranges = {"llava-torch": f"=={LLAVA_VERSION}"}
    for requirement in requirements:
        match = re.match(r"\s*([A-Za-z0-9_.-]+)\s*\(?([^;)]*)", requirement)
        if match:
            ranges[match[1].lower()] = match[2].strip()
    return ranges


def _package(name: str, needed: str) -> PackageState:
    from packaging.specifiers import SpecifierSet

    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return PackageState(name, None, needed, None)
    return PackageState(name, version, needed, SpecifierSet(needed).contains(version, prereleases=True))


def _commands(packages: Iterable[PackageState], has_java: bool) -> Iterable[CommandState]:
    # A package outside its range is not the one that a command needs.
    lacks = {p.name: f"{p.name}{p.needed}" for p in packages if not p.satisfied}

    def lacking(names: tuple[str, ...], extra: str) -> tuple[str, ...]:
        return tuple(f"{lacks[n]} (pip install '{DISTRIBUTION}[{extra}]')" for n in names if n in lacks)

    core = tuple(lacks[n] for n in CORE if n in lacks)
    if "llava-torch" in lacks:
        core += (f"llava (pip install --no-deps llava-torch=={LLAVA_VERSION})",)
    captions = lacking(("pycocoevalcap",), "eval") + (() if has_java else (JAVA_HINT,))
    yield CommandState("describe, train", core)
    yield CommandState("train with DeepSpeed", core + lacking(("deepspeed",), "train"))
    yield CommandState("evaluate: caption scores", core + captions)
    yield CommandState("stats --output, preview", core + lacking(("matplotlib", "jinja2"), "data"))
    yield CommandState("prepare geojson", core + lacking(("rasterio",), "geo"))
    yield CommandState("serve", core + lacking(("fastapi", "uvicorn", "httpx", "prometheus_client"), "serve"))
    yield CommandState("playground", core + lacking(("gradio", "gradio_image_annotation"), "demo"))
    yield CommandState("llava serve.gradio_web_server", core + lacking(("gradio",), "demo"))


def _java_version() -> str | None:
    program = shutil.which("java")
    if program is None:
        return None
    shown = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    lines = (shown.stderr or shown.stdout).splitlines()
    return lines[0] if lines else None


def _cuda_devices() -> tuple[tuple[str, ...], str | None]:
    """Names of the devices, or why those that are there cannot be used."""
    if find_spec("torch") is None:
        return (), None
    import torch

    from mgimm_plugin.model.devices import unusable_gpus

    if problem := unusable_gpus():
        return (), problem
    return tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())), None


def _lines(report: DoctorReport) -> Iterable[str]:
    yield f"mgimm {report.mgimm}, Python {report.python}"
    yield ""
    yield "Packages"
    wide = max(len(package.name) for package in report.packages)
    for package in report.packages:
        verdict = {True: "ok", False: "outside the range", None: "not installed"}[package.satisfied]
        yield f"  {package.name:<{wide}} {package.version or '-':<14} {package.needed:<12} {verdict}"
    yield ""
    if report.gpu_problem:
        yield f"CUDA: problem: {report.gpu_problem}; until then the CPU is used"
    else:
        yield f"CUDA: {', '.join(report.devices) or 'none, the CPU is used'}"
    yield f"Java: {report.java or 'none'}"
    yield ""
    yield "Patches"
    for patch in report.patches:
        yield f"  {patch.name:<34} {patch.state:<11} {patch.reason}"
    yield ""
    yield "Commands"
    for command in report.commands:
        yield f"  {command.command:<29} {'ready' if not command.missing else 'lacks ' + '; '.join(command.missing)}"
