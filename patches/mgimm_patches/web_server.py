"""LLaVA's web server starts on gradio 6 and uses the template that the worker names.

Changes: ``build_demo`` and ``http_bot`` of ``llava.serve.gradio_web_server``; ``Conversation.to_gradio_chatbot``.
Necessary since: gradio 6 renamed the argument ``_js`` to ``js``, and shows a chat of messages (role, content), no
longer of pairs. The wheel of LLaVA lacks the pictures of its examples. And the template is guessed from the model's
name, where the worker knows it.
No longer needed when: ``build_demo`` runs on gradio 6 as it is.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from types import ModuleType
from typing import Any

from mgimm_patches._patch import Patch
from mgimm_patches._rewrite import Rules, expression, rewrite_functions

ROLES = ("user", "assistant")
WAIT_SECONDS = 5


class _Gradio6(Rules):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) == "gr.Examples":
            return self.changed(node, ast.Call(expression("_mgimm_examples"), node.args, node.keywords))
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg == "_js":
            return self.changed(node, ast.keyword("js", node.value))
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if ast.unparse(node) == "conv_templates[template_name]":
            choice = "conv_templates[_mgimm_worker_template(args.controller_url, model_name) or template_name]"
            return self.changed(node, expression(choice))
        return self.generic_visit(node)


def worker_template(controller_url: str, model_name: str) -> str | None:
    """Ask the model's worker for its conversation template; None where it names none."""
    import requests

    try:
        found = requests.post(f"{controller_url}/get_worker_address", json={"model": model_name}, timeout=WAIT_SECONDS)
        address = found.json()["address"]
        if not address:
            return None
        status = requests.post(f"{address}/worker_get_status", timeout=WAIT_SECONDS)
        return status.json().get("conversation_template")
    except requests.exceptions.RequestException:
        return None  # the request that follows reports it


def messages_of(pairs: list[list[Any]]) -> list[dict[str, Any]]:
    """Turn gradio's old pairs (question, answer) into messages; an answer that is still awaited is left out."""
    return [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(ROLES, pair, strict=True)
        if text is not None
    ]


def _examples(gradio: Any, examples: list[list[Any]], **options: Any) -> None:
    """Show the examples whose picture is there."""
    present = [example for example in examples if Path(example[0]).is_file()]
    if present:
        gradio.Examples(examples=present, **options)


def _adapt_web_server(module: ModuleType) -> bool:
    gradio = module.gr
    vars(module).update(_mgimm_worker_template=worker_template, _mgimm_examples=functools.partial(_examples, gradio))
    return rewrite_functions(module, _Gradio6()) > 0


def _speak_messages(module: ModuleType) -> bool:
    from llava.conversation import Conversation

    pairs = Conversation.to_gradio_chatbot
    if getattr(pairs, "_gives_messages", False):
        return True

    def to_gradio_chatbot(self: Any) -> list[dict[str, Any]]:
        """The conversation as gradio's messages."""
        return messages_of(pairs(self))

    to_gradio_chatbot._gives_messages = True  # type: ignore[attr-defined]
    Conversation.to_gradio_chatbot = to_gradio_chatbot
    return True


PATCHES = (
    Patch(
        name="web-server",
        target="llava.serve.gradio_web_server",
        reason="gradio 6 renamed _js; the example pictures are not in the wheel; the template is guessed from the name",
        obsolete_when="build_demo runs on gradio 6 as it is",
        change=_adapt_web_server,
    ),
    Patch(
        name="web-server-messages",
        target="llava.serve.gradio_web_server",
        reason="gradio 6 shows a chat of messages, no longer of pairs",
        obsolete_when="Conversation.to_gradio_chatbot returns messages",
        change=_speak_messages,
    ),
)
