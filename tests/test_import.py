"""``import mgimm_plugin`` is cheap, and activating the plugin any number of times is harmless."""

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


def test_geometry_needs_no_torch():
    assert "torch" not in modules_after("import mgimm_plugin.geometry")


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
