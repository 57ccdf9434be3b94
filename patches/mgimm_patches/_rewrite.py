"""Change expressions inside upstream functions, by their syntax tree.

LLaVA's programs are scripts of one long function with no seam to hook into: what has to change (a device, a dtype, a
renamed keyword) is an expression in its middle. A rule here names such an expression; only functions that contain one
are compiled again, in their module's own namespace, and everything else of the module stays as it was executed.
"""

from __future__ import annotations

import ast
import inspect
from types import ModuleType


class Rules(ast.NodeTransformer):
    """Rules for one kind of program. A subclass replaces nodes and counts each replacement with ``changed``."""

    def __init__(self) -> None:
        self.changes = 0

    def changed(self, old: ast.AST, new: ast.AST) -> ast.AST:
        """Note one replacement; ``new`` takes the place of ``old`` in tracebacks."""
        self.changes += 1
        return ast.fix_missing_locations(ast.copy_location(new, old))


def rewrite_functions(module: ModuleType, rules: Rules) -> int:
    """Compile again those top-level functions of ``module`` to which ``rules`` apply.

    Returns:
        The number of expressions that were replaced.
    """
    tree = ast.parse(inspect.getsource(module))
    total = 0
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        before = rules.changes
        rewritten = rules.visit(node)
        if rules.changes == before:
            continue
        total += rules.changes - before
        code = compile(ast.Module(body=[rewritten], type_ignores=[]), str(module.__file__), "exec")
        exec(code, vars(module))
    return total


def main_block(module: ModuleType) -> list[ast.stmt]:
    """The statements under ``if __name__ == "__main__":``; none where the module has no such block."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("__name__ == '__main__'", "'__main__' == __name__"):
            return node.body
    return []


def expression(source: str) -> ast.expr:
    """Parse one expression."""
    return ast.parse(source, mode="eval").body
