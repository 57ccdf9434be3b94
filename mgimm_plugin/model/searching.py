"""The search for answers: what it is told, and which of the ways to generate it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from mgimm_plugin.constants import MIN_TEMPERATURE
from mgimm_plugin.errors import SettingError
from mgimm_plugin.model.decoding import decode_greedily
from mgimm_plugin.model.listening import EndWhenUnwanted, EndWhereTold, Reader, ScoresAtHand


def search_settings(
    end_ids: Sequence[int], pad_id: int | None, *, max_new_tokens: int, num_beams: int = 1, temperature: float = 0.0
) -> GenerationConfig:
    """Say everything about the search.

    Args:
        end_ids: Tokens that end an answer.
        pad_id: Fills what follows an end; None takes the first end token.
        max_new_tokens: Longest answer, in tokens.
        num_beams: 1 is greedy.
        temperature: 0 is greedy; 0.01 and above sample.

    Raises:
        SettingError: A number makes no sense.
    """
    if max_new_tokens < 1 or num_beams < 1:
        raise SettingError(f"max_new_tokens {max_new_tokens} and num_beams {num_beams} must be at least 1")
    if not (temperature == 0 or temperature >= MIN_TEMPERATURE):
        raise SettingError(f"temperature is {temperature}; use 0 for greedy, or at least {MIN_TEMPERATURE}")
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        num_beams=num_beams,
        do_sample=temperature > 0,
        temperature=float(temperature) or 1.0,
        top_p=1.0,
        top_k=50,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        num_return_sequences=1,
        eos_token_id=list(end_ids),
        pad_token_id=end_ids[0] if pad_id is None else pad_id,
    )


def search(
    model: Any,
    batch: dict[str, Any],
    settings: GenerationConfig,
    reader: Reader | None,
    is_unwanted: Callable[[], bool] | None = None,
) -> list[list[int]]:
    """Generate the answers of a batch.

    Args:
        model: The language model with its image and region parts.
        batch: What ``QuestionEncoder.batch`` returns.
        settings: What ``search_settings`` returns.
        reader: Hears of each token and may end an answer; None where nobody listens. Not with beams.
        is_unwanted: Asked at each step of a search with beams, which ends where it is true.

    Returns:
        Token ids of each answer, with what follows its end where there is no reader.
    """
    is_greedy = settings.num_beams == 1 and not settings.do_sample
    arguments = {**batch, "generation_config": settings, "custom_generate": decode_greedily if is_greedy else None}
    if settings.num_beams > 1 and is_unwanted is not None:
        arguments["stopping_criteria"] = StoppingCriteriaList([EndWhenUnwanted(is_unwanted)])
    if reader is None:
        return model.generate(**arguments).tolist()
    if is_greedy:
        arguments["on_token"] = reader
    else:
        scores = ScoresAtHand()
        arguments["logits_processor"] = LogitsProcessorList([scores])
        arguments["stopping_criteria"] = StoppingCriteriaList([EndWhereTold(reader, scores)])
    ids = model.generate(**arguments).tolist()
    return [row[:length] for row, length in zip(ids, reader.lengths, strict=True)]
