"""LLaVA's training takes a model for an MPT one by its ``config.model_type``.

Changes: ``train`` of ``llava.train.train``.
Necessary since: it asks whether ``"mpt"`` is in the model's path, which is so in "attempt1" and "prompts" too, and then
stops at ``config.attn_config``, which other models do not have.
No longer needed when: ``grep -n "'mpt' in"`` finds nothing in ``llava/train/train.py``.
"""

from __future__ import annotations

import ast
from types import ModuleType

from mgimm_patches._patch import Patch
from mgimm_patches._rewrite import Rules, expression, rewrite_functions


class _ByModelType(Rules):
    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if ast.unparse(node) == "'mpt' in model_args.model_name_or_path":
            return self.changed(node, expression("_mgimm_is_mpt(model_args.model_name_or_path)"))
        return self.generic_visit(node)


def is_mpt(name: str) -> bool:
    """Is this folder or Hub id a model of the MPT family."""
    from mgimm_plugin.model.config import read_config_dict
    from mgimm_plugin.model.paths import resolve_folder

    return read_config_dict(resolve_folder(name)).get("model_type") in ("mpt", "llava_mpt")


def _go_by_model_type(train: ModuleType) -> bool:
    train._mgimm_is_mpt = is_mpt  # type: ignore[attr-defined]
    return rewrite_functions(train, _ByModelType()) > 0


PATCHES = (
    Patch(
        name="training-model-type",
        target="llava.train.train",
        reason="LLaVA takes a model for an MPT one where its path has these letters in it",
        obsolete_when="LLaVA's train reads config.model_type",
        change=_go_by_model_type,
    ),
)
