"""Greedy decoding that shares prefixes and drops ended rows gives the tokens of each row alone, with less work."""

import pytest
import torch

from mgimm_plugin.constants import IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX
from mgimm_plugin.model import decoding
from mgimm_plugin.model.decoding import decode_greedily
from tests.tiny import FAMILIES, SIDE, build_llm, build_loaded

IMAGE, REGION = IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX
PATCHES = 16
SYSTEM = [20, 21, 22, 23, 24]
ROWS = {
    "mixed": [
        [*SYSTEM, REGION, 40, 41, 42],
        [*SYSTEM, 43],
        [*SYSTEM, IMAGE, 51, REGION, REGION, 52],
        [*SYSTEM, 60, 61, REGION],
        [*SYSTEM, REGION, 40, 41, 42],
    ],
    "regions": [[*SYSTEM, REGION, 40, 41, 42]] * 5,
    "one image": [[*SYSTEM, IMAGE, REGION, 50 + row] for row in range(5)],
    "nothing in common": [[70 + row, 80 + row, REGION, 45][row % 3 :] for row in range(5)],
    "many": [[*SYSTEM, REGION, 40 + row] for row in range(20)],
    "one row": [[*SYSTEM, REGION, 40]],
}
BOXES = torch.tensor([[0, 0, 30000, 30000], [20000, 10000, 60000, 65536], [5, 5, 40000, 9000], [0, 0, 65536, 65536]])
NEW_TOKENS = 12


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def sliding(tmp_path_factory, tiny_tower):
    """A Mistral whose window is shorter than a prompt."""
    llm = build_llm(tmp_path_factory.mktemp("sliding"), "mistral", sliding_window=6)
    return build_loaded(llm, tiny_tower).model


def batch_of(images, rows, *, first=0):
    """Left-padded rows with boxes of their own; all about the first image but the last, which has the second."""
    width = max(map(len, rows))
    regions = [row.count(REGION) for row in rows]
    seeing = [i for i, row in enumerate(rows) if IMAGE in row or REGION in row]
    boxes = [BOXES[(first + i + n) % 4] for i, count in enumerate(regions) for n in range(count)]
    return {
        "input_ids": torch.tensor([[0] * (width - len(row)) + row for row in rows]),
        "attention_mask": torch.tensor([[False] * (width - len(row)) + [True] * len(row) for row in rows]),
        "images": images,
        "image_row": torch.tensor(seeing, dtype=torch.int64),
        "image_source": torch.tensor([int(first + i == 4) for i in seeing], dtype=torch.int64),
        "boxes": torch.stack(boxes) if boxes else torch.empty(0, 4, dtype=torch.int64),
        "image_index": torch.tensor([k for k, i in enumerate(seeing) for _ in range(regions[i])], dtype=torch.int64),
    }


def generate(model, batch, ends=(-1,), **options):
    options = {"max_new_tokens": NEW_TOKENS, "pad_token_id": 0, **options}
    return model.generate(**batch, do_sample=False, eos_token_id=list(ends), **options).tolist()


def alone_and_together(model, images, rows):
    """Tokens of rows, each alone by the library's own decoding and all together by ours, with ends at various steps."""
    free = [generate(model, batch_of(images, [row], first=i))[0] for i, row in enumerate(rows)]
    ends = {free[0][NEW_TOKENS // 3], free[-1][NEW_TOKENS // 2]}
    lengths = [next((i + 1 for i, token in enumerate(row) if token in ends), NEW_TOKENS) for row in free]
    alone = [row[:length] + [0] * (max(lengths) - length) for row, length in zip(free, lengths, strict=True)]
    return alone, generate(model, batch_of(images, rows), ends, custom_generate=decode_greedily)


def positions_of(model, ask):
    """Positions that go through the language model in each of its passes."""
    passes = []
    hook = model.model.layers[0].register_forward_pre_hook(lambda _, given: passes.append(given[0].shape[:2]))
    try:
        ask()
    finally:
        hook.remove()
    return [rows * width for rows, width in passes]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_those_of_the_usual_decoding(family, kind, tiny_llm, tiny_tower, images):
    alone, together = alone_and_together(build_loaded(tiny_llm(family), tiny_tower).model, images, ROWS[kind])
    assert together == alone


@pytest.mark.parametrize("kind", ROWS)
def test_tokens_are_the_same_under_a_sliding_window(kind, sliding, images):
    alone, together = alone_and_together(sliding, images, ROWS[kind])
    assert together == alone


def test_anyres_rows_are_decoded_as_alone(tiny_llm, tiny_tower):
    model = build_loaded(
        tiny_llm("llama"), tiny_tower, image_aspect_ratio="anyres", image_grid_pinpoints=((112, 56), (56, 112))
    ).model
    views = [torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    for rows in ROWS.values():
        alone, together = alone_and_together(model, views, rows)
        assert together == alone


@pytest.mark.parametrize("new_tokens", [4, NEW_TOKENS])
@pytest.mark.parametrize("kind", ["mixed", "regions", "many"])
def test_ends_are_looked_for_every_few_steps_where_looking_is_slow(tiny_loaded, images, monkeypatch, new_tokens, kind):
    model, batch = tiny_loaded.model, batch_of(images, ROWS[kind])
    ends = {generate(model, batch)[0][2]}
    expected = generate(model, batch, ends, max_new_tokens=new_tokens)
    monkeypatch.setitem(decoding._STEPS_BETWEEN_CHECKS, "cpu", 8)
    ours = generate(model, batch, ends, max_new_tokens=new_tokens, custom_generate=decode_greedily)
    assert ours == expected


def test_what_all_rows_begin_with_is_computed_once(tiny_loaded, images):
    model, rows = tiny_loaded.model, ROWS["one image"][:4]
    batch = batch_of(images, rows)
    first, shared, *_ = positions_of(model, lambda: generate(model, batch, custom_generate=decode_greedily))
    assert first == len(SYSTEM) + PATCHES
    assert shared == 4 * (2 + 1)  # a region and the last word


def test_ended_rows_leave_the_batch(tiny_loaded, images):
    model = tiny_loaded.model
    batch = batch_of(images, ROWS["mixed"])
    free = generate(model, batch)
    ends = {row[NEW_TOKENS // 2] for row in free[:2]}
    lengths = [next((i + 1 for i, token in enumerate(row) if token in ends), NEW_TOKENS) for row in free]
    assert len(set(lengths)) > 1
    passes = positions_of(model, lambda: generate(model, batch, ends, custom_generate=decode_greedily))
    assert passes[2:] == [sum(length > step for length in lengths) for step in range(1, max(lengths))]


@pytest.mark.parametrize(
    ("kind", "on_token"),
    [("mixed", None), ("regions", lambda *told: False), ("regions", None)],
    ids=["padded rows", "a listener", "neither"],
)
def test_a_gpu_that_is_waited_for_anyway_makes_no_step_after_the_end(tiny_loaded, images, monkeypatch, kind, on_token):
    model, batch = tiny_loaded.model, batch_of(images, ROWS[kind])
    ends = {row[2] for row in generate(model, batch)}
    steps = len(generate(model, batch, ends)[0])
    monkeypatch.setitem(decoding._STEPS_BETWEEN_CHECKS, "cpu", 8)
    options = {"custom_generate": decode_greedily} | ({} if on_token is None else {"on_token": on_token})
    passes = positions_of(model, lambda: generate(model, batch, ends, **options))
    waited_for = kind == "mixed" or on_token is not None
    assert len(passes) - 2 == (steps if waited_for else 8) - 1  # two read the prompts
