"""``import mgimm_plugin`` is cheap, and activating the plugin any number of times is harmless."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

import mgimm_plugin
from mgimm_plugin.conversation import TEMPLATES
from mgimm_plugin.model.families import FAMILIES

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "llava", "peft", "numpy", "gradio", "deepspeed")


def modules_after(code: str) -> set[str]:
    """The top-level modules of a fresh process after some code."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}"}
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        check=True,
    )
    return {name.split(".")[0] for name in result.stdout.split()}


@pytest.mark.parametrize(
    "code",
    [
        "import mgimm_plugin; mgimm_plugin.__version__",
        "import mgimm_plugin.constants, mgimm_plugin.errors, mgimm_plugin.resources",
        "import mgimm_patches; mgimm_patches.apply_all()",
    ],
)
def test_import_brings_nothing_heavy(code):
    assert not modules_after(code).intersection(HEAVY)


@pytest.mark.parametrize("module", ["geometry", "region_settings"])
def test_what_data_and_model_share_needs_no_torch(module):
    assert "torch" not in modules_after(f"import mgimm_plugin.{module}")


def test_registering_twice_leaves_one_of_everything():
    from llava.conversation import conv_templates
    from llava.model import builder

    mgimm_plugin.register()
    first = builder.load_pretrained_model, dict(conv_templates)
    mgimm_plugin.register()
    assert (builder.load_pretrained_model, dict(conv_templates)) == first
    assert set(TEMPLATES) <= set(conv_templates)


@pytest.mark.parametrize("model_type", sorted(name for name in FAMILIES if name.startswith("mgimm_")))
def test_model_types_are_known_to_transformers(model_type):
    mgimm_plugin.register()
    config = AutoConfig.for_model(model_type)
    assert type(config) is FAMILIES[model_type].config_class
    assert AutoModelForCausalLM._model_mapping[type(config)] is FAMILIES[model_type].model_class


def test_every_family_has_a_template_of_its_own():
    for family in FAMILIES.values():
        assert family.template in TEMPLATES


# From the top of the picture in docs/architecture.md to its bottom; parts on one line do not know each other.
LAYERS = (
    {"constants", "errors"},
    {"geometry", "conversation", "resources", "region_settings", "growing_text"},
    {"tokenization"},
    {"data", "model"},
    {"registration", "questions", "growing_answers", "train"},
    {"question_encoder"},
    {"batch_answering"},
    {"predictor"},
    {"evaluate"},
    {"bench", "serve"},
    {"commands", "doctor"},
    {"webpage"},
    {"cli"},
    {"__main__"},
)
OPTIONAL = {
    "gradio",
    "gradio_image_annotation",
    "deepspeed",
    "pycocoevalcap",
    "rasterio",
    "pydantic",
    "fastapi",
    "uvicorn",
    "tensorboard",
    "prometheus_client",
    "httpx",
}


def sources():
    for file in sorted((ROOT / "mgimm_plugin").rglob("*.py")):
        part = file.relative_to(ROOT / "mgimm_plugin").parts[0].removesuffix(".py")
        if part != "__init__":
            yield file, part, ast.parse(file.read_text())


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_nothing_imports_from_further_down():
    rank = {part: i for i, layer in enumerate(LAYERS) for part in layer}
    wrong = []
    for file, part, tree in sources():
        targets = {name.split(".")[1] for name in imported(tree) if name.startswith("mgimm_plugin.")} - {part}
        wrong += [f"{file.relative_to(ROOT)} imports {t}" for t in targets & rank.keys() if rank[t] >= rank[part]]
        assert part in rank, f"{part} has no place among the layers"
    assert not wrong


PAGE = ROOT / "mgimm_plugin" / "webpage" / "page.py"
"""Nothing but gradio: imported by what launches it, when it does."""


def test_optional_packages_are_imported_where_they_are_used():
    wrong = []
    for file, part, tree in sources():
        # They are one of these themselves: imported where they are started, inside a function.
        if part == "serve" or file == PAGE:
            continue
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        found = {name.split(".")[0] for name in imported(top)} & OPTIONAL
        wrong += [f"{file.relative_to(ROOT)} imports {', '.join(found)}"] if found else []
    assert not wrong
