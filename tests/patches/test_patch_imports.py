"""Importing models of transformers leaves torch's compiler alone, and what was put off works when it is used."""

import pytest

PATCHES = "import mgimm_patches, sys; mgimm_patches.apply_all(); mgimm_patches.put_off_compiler()\n"
LOADING = PATCHES + "import mgimm_plugin; mgimm_plugin.register(); import mgimm_plugin.predictor\n"
REPORT = "print(*(name for name in ('torch._dynamo', 'torch._inductor', 'pandas', 'sklearn') if name in sys.modules))"


def output(result):
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_the_predictor_brings_neither_compiler_nor_data_tools_and_the_compiler_can_come_afterwards(run_python):
    code = """
import torch
kept = torch._dynamo
import torch._dynamo.utils
from torch._dynamo import _trace_wrapped_higher_order_op as contexts
from transformers import masking_utils
assert torch._dynamo is sys.modules["torch._dynamo"] is not kept
assert kept.config is torch._dynamo.config
assert isinstance(masking_utils.TransformGetItemToIndex(), contexts.TransformGetItemToIndex)
assert torch._dynamo.utils.is_compile_supported.__module__ == "torch._dynamo.utils"
print("fine")
"""
    assert output(run_python(LOADING + REPORT + code)) == "fine"  # and no name before it


def test_functions_marked_before_the_compiler_came_are_left_alone_by_it(run_python):
    code = """
import torch
seen = []

@torch.compiler.disable
def careful(x):
    seen.append(torch.compiler.is_compiling())
    return x + 1

@torch.compiler.disable(recursive=False)
def shallow(x):
    seen.append(torch.compiler.is_compiling())
    return x * 2

@torch._dynamo.allow_in_graph
def opaque(x):
    return x - 1

@torch._dynamo.assume_constant_result
def constant():
    return 3

assert "torch._dynamo" not in sys.modules
graphs = []

def backend(graph, inputs):
    graphs.append(graph)
    return graph.forward

compiled = torch.compile(lambda x: shallow(careful(opaque(x) * constant())) + 1, backend=backend)
assert compiled(torch.ones(2) * 2).tolist() == [9, 9]
assert seen == [False, False], seen
assert any(node.target is opaque for graph in graphs for node in graph.graph.nodes)
assert len(graphs) == 2, len(graphs)  # before careful and after shallow
print("fine")
"""
    assert output(run_python(PATCHES + code)) == "fine"


def test_operators_of_torchvision_work(run_python):
    code = """
import pickle, torch
import torchvision.ops as ops
from torchvision.ops import RoIAlign, box_iou, roi_align
features, boxes = torch.arange(64.).view(1, 1, 8, 8), [torch.tensor([[0., 0., 4., 4.]])]
pooled = roi_align(features, boxes, 2)
assert pooled.shape == (1, 1, 2, 2)
torch.use_deterministic_algorithms(True)  # the way that asks the compiler whether it is supported
assert torch.allclose(pickle.loads(pickle.dumps(RoIAlign(2, 1.0, -1)))(features, boxes), pooled)
assert ops.box_iou is box_iou
print("fine")
"""
    assert output(run_python(PATCHES + code)) == "fine"


@pytest.mark.parametrize("before", ["torch", "torchvision.ops"])
def test_libraries_imported_before_the_patches_stay_as_they_are(run_python, before):
    code = f"""
import {before}, sys, mgimm_patches
mgimm_patches.put_off_compiler(); mgimm_patches.put_off_compiler()
import torch, torchvision, transformers
assert torch._dynamo.config is not None and torch.compiler.disable(len)([]) == 0
from mgimm_patches.compiler_when_used import PATCHES
print([patch.state for patch in PATCHES if patch.state.startswith("failed")])
"""
    assert output(run_python(code)) == "[]"


def test_transformers_lists_the_same_modules_from_fewer_reads(run_python):
    code = """
import sys
if PATCHED:
    import mgimm_patches; mgimm_patches.apply_all()
reads = []
sys.addaudithook(lambda event, values: event == "open" and reads.append(str(values[0])))
import transformers, transformers.models
listed = transformers.utils.import_utils.define_import_structure(transformers.models.__file__)
print(sum(name.endswith("modeling_llama.py") for name in reads))
print(sorted((sorted(backends), module, sorted(names)) for backends, found in listed.items()
             for module, names in found.items()))
"""
    plain = output(run_python(code.replace("PATCHED", "False"))).splitlines()
    patched = output(run_python(code.replace("PATCHED", "True"))).splitlines()
    assert "LlamaForCausalLM" in patched[1]
    assert patched[1] == plain[1]
    assert int(patched[0]) == 1 < int(plain[0])
