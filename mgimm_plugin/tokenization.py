"""Prompt text with ``<image>`` and ``<region>`` to token ids and labels.

Text between two sentinels is tokenized as one piece, as LLaVA does at inference, and labels are placed by character
offsets. So a training sequence starts with exactly the ids that the same question has at inference, with tokenizers
that add a BOS token and with those that do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Any

from llava.conversation import Conversation, SeparatorStyle

from mgimm_plugin.constants import (
    DEFAULT_IMAGE_TOKEN,
    DEFAULT_REGION_TOKEN,
    IGNORE_INDEX,
    IMAGE_TOKEN_INDEX,
    REGION_TOKEN_INDEX,
)
from mgimm_plugin.conversation import RegionConversation, end_token, get_template
from mgimm_plugin.errors import MgimmError

_SENTINELS = {DEFAULT_IMAGE_TOKEN: IMAGE_TOKEN_INDEX, DEFAULT_REGION_TOKEN: REGION_TOKEN_INDEX}
_SENTINEL_PATTERN = re.compile("(" + "|".join(map(re.escape, _SENTINELS)) + ")")
_ROLES = {"human": 0, "gpt": 1}
_NO_WORDS = ("", None, None)
"""An answer without words, with what ends it: LLaVA takes an empty text for a turn that is still to come."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TokenizedConversation:
    """Ids with sentinels, and labels of the same length: the assistant's words and end tokens, else IGNORE_INDEX."""

    input_ids: list[int]
    labels: list[int]


def tokenize_prompt(prompt: str, tokenizer: Any) -> list[int]:
    """Tokenize a prompt; ``<image>`` and ``<region>`` become their sentinel ids.

    A BOS token is added where, and only where, the tokenizer adds one of its own accord.
    """
    return _tokenize_with_spans(prompt, [], tokenizer).input_ids


def tokenize_conversation(turns: Sequence[tuple[str, str]], template: str, tokenizer: Any) -> TokenizedConversation:
    """Tokenize a whole conversation for training.

    Args:
        turns: ``(role, text)`` with role ``"human"`` or ``"gpt"``, alternating, the human first. White space around
            answers is left out.
        template: Name of a conversation template.
        tokenizer: A fast Hugging Face tokenizer (it reports character offsets).

    Raises:
        MgimmError: The template's end token is not one token of this tokenizer, or roles do not alternate.
    """
    conversation = _conversation_for(template, tokenizer)
    end_token_ids(template, tokenizer)
    prompt, spans = _render(conversation, turns)
    return _tokenize_with_spans(prompt, spans, tokenizer)


def build_prompt(turns: Sequence[tuple[str, str]], template: str, tokenizer: Any) -> str:
    """Render turns that end with a question; the text stops where the assistant's words begin."""
    conversation = _conversation_for(template, tokenizer)
    for position, (role, text) in enumerate(turns):
        _append(conversation, position, role, text)
    conversation.append_message(conversation.roles[1], None)
    return conversation.get_prompt()


def end_token_ids(template: str, tokenizer: Any) -> list[int]:
    """Ids at which generation stops: the template's end token, then the tokenizer's own where it is another.

    Raises:
        MgimmError: The template ends with a text that this tokenizer splits into several tokens.
    """
    ids = [_end_id(template, end_token(_conversation_for(template, tokenizer)), tokenizer)]
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.append(tokenizer.eos_token_id)
    return ids


@lru_cache(maxsize=16)
def _end_id(template: str, end: str, tokenizer: Any) -> int:
    """The id of a template's end token; kept, as every conversation asks for it."""
    # After a word, as in an answer: by itself sentencepiece would put its leading space before it.
    word, ended = tokenizer(["a", "a" + end], add_special_tokens=False).input_ids
    ids = ended[len(word) :]
    if len(ids) != 1:
        raise MgimmError(
            f"template {template!r} ends an answer with {end!r}, which this tokenizer ({tokenizer.name_or_path}) "
            f"splits into {len(ids)} tokens; choose a template whose end token it knows "
            f"(its own is {tokenizer.eos_token!r})"
        )
    return ids[0]


def _conversation_for(template: str, tokenizer: Any) -> Conversation:
    conversation = get_template(template)
    if isinstance(conversation, RegionConversation) and conversation.end_is_eos:
        if tokenizer.eos_token is None:
            raise MgimmError(f"template {template!r} ends with the tokenizer's end token, and this tokenizer has none")
        conversation.sep2 = tokenizer.eos_token
    elif conversation.sep_style == SeparatorStyle.PLAIN and conversation.sep2 is None:
        conversation.sep2 = conversation.sep  # LLaVA's `plain` has one separator for both roles
    return conversation


def _append(conversation: Conversation, position: int, role: str, text: str) -> None:
    if _ROLES.get(role) != position % 2:
        raise MgimmError(f"turn {position} is of {role!r}: turns alternate between 'human' and 'gpt', the human first")
    # White space at the start of an answer could become one token with the end of the prompt before it.
    said = (text.strip() or _NO_WORDS) if role == "gpt" else text
    conversation.append_message(conversation.roles[position % 2], said)


def _render(conversation: Conversation, turns: Sequence[tuple[str, str]]) -> tuple[str, list[Span]]:
    """Render turn by turn: what an answer adds to the prompt before it is what the model has to learn to say."""
    spans: list[Span] = []
    for position, (role, text) in enumerate(turns):
        if position % 2 == 1:
            if not text.strip():
                raise MgimmError(f"turn {position}: an answer may not be empty")
            conversation.append_message(conversation.roles[1], None)
            start = len(conversation.get_prompt())
            conversation.messages.pop()
        _append(conversation, position, role, text)
        if position % 2 == 1:
            spans.append((start, len(conversation.get_prompt())))
    return conversation.get_prompt(), spans


def _tokenize_with_spans(prompt: str, spans: Sequence[Span], tokenizer: Any) -> TokenizedConversation:
    leading = tokenizer("").input_ids
    bos = tokenizer.bos_token_id
    ids: list[int] = [bos] if bos is not None and bos in leading else []
    labels = [IGNORE_INDEX] * len(ids)
    if ids and tokenizer.bos_token and prompt.startswith(tokenizer.bos_token):
        ids, labels = [], []  # the template wrote it already
    pieces = [piece for piece in _SENTINEL_PATTERN.split(prompt) if piece]
    encoded = _encode([piece for piece in pieces if piece not in _SENTINELS], tokenizer, with_offsets=bool(spans))
    position = 0
    for piece in pieces:
        if piece in _SENTINELS:
            ids.append(_SENTINELS[piece])
            labels.append(IGNORE_INDEX)
        else:
            new_ids, offsets = next(encoded)
            ids.extend(new_ids)
            labels.extend(_labels(new_ids, offsets, position, spans) if spans else [IGNORE_INDEX] * len(new_ids))
        position += len(piece)
    return TokenizedConversation(ids, labels)


def _encode(texts: list[str], tokenizer: Any, *, with_offsets: bool) -> Iterator[tuple[Sequence[int], Sequence[Span]]]:
    """Ids and character offsets of each text, in one call of the tokenizer; a slow one has no offsets."""
    if texts:
        encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=with_offsets)
        yield from zip(encoded.input_ids, encoded.offset_mapping if with_offsets else repeat(()), strict=False)


def _labels(ids: Sequence[int], offsets: Sequence[Span], shift: int, spans: Sequence[Span]) -> list[int]:
    """A token is the assistant's when all its characters are; byte-fallback tokens share one character's offsets."""
    labels = []
    for token, (start, end) in zip(ids, offsets, strict=True):
        inside = any(first <= start + shift and end + shift <= last and start + shift < last for first, last in spans)
        labels.append(token if inside else IGNORE_INDEX)
    return labels
