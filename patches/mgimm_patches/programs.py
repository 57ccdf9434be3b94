r"""LLaVA's command-line programs run on CPU too, and take template and dtype from the model.

Changes: ``main`` / ``eval_model`` of ``llava.serve.cli``, ``llava.eval.run_llava`` and ``llava.eval.model_vqa*``.
Necessary since: they send images and ids to ``cuda`` in float16 whatever the model is on, and choose the conversation
template by words in the path (``"mpt"`` is also in "prompts"). ``serve.cli`` cuts its own answers out of the history,
because ``generate`` returns new tokens only.
The cure: images and ids follow ``model.device`` and ``model.dtype``; without ``--conv-mode`` the template is the
config's ``mm_conversation_template``, and only a checkpoint without that key is judged by its path as before.
No longer needed when: ``grep -n "cuda\|float16\|model_name.lower()"`` finds nothing in these programs.
"""

from __future__ import annotations

import ast
from types import ModuleType
from typing import Any

from mgimm_patches._patch import Patch
from mgimm_patches._rewrite import Rules, expression, rewrite_functions

PROGRAMS = (
    "llava.serve.cli",
    "llava.eval.run_llava",
    "llava.eval.model_vqa",
    "llava.eval.model_vqa_loader",
    "llava.eval.model_vqa_mmbench",
    "llava.eval.model_vqa_science",
)
_TEMPLATE = "_mgimm_template"


def template_of(config: Any) -> str | None:
    """The conversation template that a checkpoint names, or None."""
    return getattr(config, "mm_conversation_template", None)


class _FollowTheModel(Rules):
    """In a function that has ``model``: its device and dtype, and its own template."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if ast.unparse(node) == "torch.float16":
            return self.changed(node, expression("model.dtype"))
        return self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg == "device" and isinstance(node.value, ast.Constant) and node.value.value == "cuda":
            return self.changed(node, ast.keyword(arg="device", value=expression("model.device")))
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and not node.args and node.func.attr in ("cuda", "half"):
            target = "model.device" if node.func.attr == "cuda" else "model.dtype"
            to = ast.Attribute(value=node.func.value, attr="to", ctx=ast.Load())
            return self.changed(node, ast.Call(func=to, args=[expression(target)], keywords=[]))
        if ast.unparse(node).startswith("tokenizer.decode(output_ids[0, input_ids.shape[1]:]"):
            return self.changed(node, expression("tokenizer.decode(output_ids[0], skip_special_tokens=True)"))
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """``"mpt" in model_name``: the path is asked only where the config does not say."""
        if not isinstance(node.ops[0], ast.In) or not ast.unparse(node.comparators[0]).startswith("model_name"):
            return self.generic_visit(node)
        return self.changed(node, expression(f"({_TEMPLATE}(model.config) is None and {ast.unparse(node)})"))

    def visit_Assign(self, node: ast.Assign) -> Any:
        target = ast.unparse(node.targets[0])
        if target == "conv_mode" and isinstance(node.value, ast.Constant):
            # The program compares its guess with args.conv_mode, and warns on its standard output where they differ.
            return self.changed(node, ast.parse(f"conv_mode = args.conv_mode or {node.value.value!r}").body[0])
        self.generic_visit(node)
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "load_pretrained_model":
            choice = f"args.conv_mode = args.conv_mode or {_TEMPLATE}(model.config) or _mgimm_default_template"
            return [node, self.changed(node, ast.parse(choice).body[0])]
        return node


class _NoDefaultTemplate(Rules):
    """``--conv-mode`` has no default, so that a template given by the user can be told from none."""

    default: str | None = None

    def visit_Call(self, node: ast.Call) -> ast.AST:
        first = node.args[0] if node.args else None
        if not (isinstance(first, ast.Constant) and first.value == "--conv-mode"):
            return self.generic_visit(node)
        for keyword in node.keywords:
            if keyword.arg == "default" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
                self.default = str(keyword.value.value)
                keyword.value = self.changed(keyword.value, ast.Constant(None))  # type: ignore[assignment]
        return node


def without_default_template(block: list[ast.stmt]) -> tuple[list[ast.stmt], str | None]:
    """Take the default of ``--conv-mode`` out of a program's main block; returns the block and that default."""
    rules = _NoDefaultTemplate()
    return [rules.visit(statement) for statement in block], rules.default


def _follow_the_model(program: ModuleType) -> bool:
    # The runner sets the default that the program's own parser had.
    vars(program).update({_TEMPLATE: template_of, "_mgimm_default_template": None})
    return rewrite_functions(program, _FollowTheModel()) > 0


PATCHES = tuple(
    Patch(
        name=f"follow-the-model:{target.rpartition('.')[2]}",
        target=target,
        reason="cuda and float16 are written into the program, and the template is guessed from the path",
        obsolete_when="the program takes device, dtype and template from the model",
        change=_follow_the_model,
    )
    for target in PROGRAMS
)
