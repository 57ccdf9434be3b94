"""Region-aware conversations and the templates that ``register()`` adds to ``llava.conversation.conv_templates``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from llava.conversation import Conversation, SeparatorStyle, conv_templates

from mgimm_plugin.constants import DEFAULT_REGION_TOKEN
from mgimm_plugin.errors import MgimmError

Box = tuple[float, float, float, float]
"""xyxy in pixels of the original image."""


@dataclasses.dataclass
class RegionConversation(Conversation):
    """LLaVA's ``Conversation`` whose messages may speak of regions.

    A user message may hold ``<region>`` tokens; the boxes they stand for are kept in ``regions``, in the order of the
    tokens over the whole conversation, so that a follow-up question still knows the regions of an earlier one.
    ``end_is_eos`` marks a template whose assistant turns end with whatever the tokenizer's end-of-sequence token is.
    """

    regions: list[Box] = dataclasses.field(default_factory=list)
    end_is_eos: bool = False

    def append_regions(self, message: str, boxes: Sequence[Box] = ()) -> None:
        """Add a user message that asks about ``boxes`` (xyxy, pixels of the original image).

        Raises:
            MgimmError: The number of ``<region>`` tokens in ``message`` is not the number of boxes.
        """
        tokens = message.count(DEFAULT_REGION_TOKEN)
        if tokens != len(boxes):
            raise MgimmError(
                f"the message has {tokens} {DEFAULT_REGION_TOKEN} tokens and {len(boxes)} boxes: give one box a token"
            )
        self.append_message(self.roles[0], message)
        self.regions.extend(boxes)

    def copy(self) -> RegionConversation:
        """Copy messages and regions; LLaVA's own ``copy`` would drop the fields it does not know."""
        duplicate = dataclasses.replace(self)
        duplicate.messages = [[role, text] for role, text in self.messages]
        duplicate.regions = list(self.regions)
        return duplicate

    def dict(self) -> dict[str, object]:
        """LLaVA's serialisable form, with the regions."""
        return {**super().dict(), "regions": [list(box) for box in self.regions]}


_VISION_SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
_CHAT_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def _template(
    version: str,
    style: SeparatorStyle,
    *,
    system: str,
    roles: tuple[str, str],
    sep: str,
    sep2: str | None,
    end_is_eos: bool = False,
) -> RegionConversation:
    return RegionConversation(
        system=system,
        roles=list(roles),
        messages=[],
        offset=0,
        sep_style=style,
        sep=sep,
        sep2=sep2,
        version=version,
        end_is_eos=end_is_eos,
    )


TEMPLATES: dict[str, RegionConversation] = {
    # The instruction is kept and the answer ends with the tokenizer's end token: LLaVA's `plain` does neither.
    "mgimm_plain": _template(
        "mgimm_plain", SeparatorStyle.PLAIN, system="", roles=("", ""), sep="\n", sep2="</s>", end_is_eos=True
    ),
    "mgimm_v1": _template(
        "v1", SeparatorStyle.TWO, system=_CHAT_SYSTEM, roles=("USER", "ASSISTANT"), sep=" ", sep2="</s>"
    ),
    "mgimm_llama_2": _template(
        "llama_v2", SeparatorStyle.LLAMA_2, system=_VISION_SYSTEM, roles=("USER", "ASSISTANT"), sep="<s>", sep2="</s>"
    ),
    "mgimm_phi": _template(
        "phi2", SeparatorStyle.TWO, system=_CHAT_SYSTEM, roles=("USER", "ASSISTANT"), sep=" ", sep2="<|endoftext|>"
    ),
    "mgimm_chatml": _template(
        "mpt",
        SeparatorStyle.MPT,
        system="<|im_start|>system\n" + _VISION_SYSTEM,
        roles=("\n<|im_start|>user\n", "\n<|im_start|>assistant\n"),
        sep="<|im_end|>",
        sep2=None,
    ),
}


def register_templates() -> None:
    """Add the templates to LLaVA's table; twice is harmless."""
    conv_templates.update(TEMPLATES)


def get_template(name: str) -> Conversation:
    """Return a fresh, empty copy of a template by name, ours or LLaVA's.

    Raises:
        MgimmError: No template has that name; the message lists those that exist.
    """
    register_templates()
    if name not in conv_templates:
        raise MgimmError(f"no conversation template {name!r}; known: {', '.join(sorted(conv_templates))}")
    conversation = conv_templates[name].copy()
    conversation.messages = []
    conversation.offset = 0
    return conversation


def end_token(conversation: Conversation) -> str:
    """The text that ends an assistant's turn in this conversation."""
    two_ended = conversation.sep_style in (SeparatorStyle.TWO, SeparatorStyle.LLAMA_2, SeparatorStyle.PLAIN)
    return (conversation.sep2 if two_ended and conversation.sep2 else conversation.sep) or ""
