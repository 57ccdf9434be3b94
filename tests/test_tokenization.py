"""Labels are the assistant's words and nothing else, and a training sequence starts as inference does."""

import dataclasses
import random

import pytest
from llava.conversation import conv_templates
from llava.mm_utils import tokenizer_image_token

from mgimm_plugin.constants import IGNORE_INDEX, IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX
from mgimm_plugin.conversation import TEMPLATES, register_templates
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.model.loading import load_tokenizer
from mgimm_plugin.tokenization import build_prompt, end_token_ids, tokenize_conversation, tokenize_prompt
from tests.tiny import build_sentencepiece, build_tokenizer

BYTE_LEVEL = ("bos", "no-bos")
SENTENCEPIECE = ("vicuna", "model-only")
ENDS = {
    "mgimm_plain": "</s>",
    "mgimm_v1": "</s>",
    "mgimm_llama_2": "</s>",
    "mgimm_phi": "<|endoftext|>",
    "mgimm_chatml": "<|im_end|>",
    "v1": "</s>",
    "llava_llama_2": "</s>",
    "plain": "\n",
}
ANSWERS = (
    "A red tank.",
    "Two ships",
    '"Quoted", with 3 numbers: 1,024 (x2).',
    "Ein großes Öltanklager – 油罐 🛢️",
    "First line.\nSecond line.",
    "  spaces around  ",
    "\nA new line first",
    "USER: asks, ASSISTANT: answers",
)
CONVERSATIONS = {
    "region": [("human", "<region>\nDescribe the region."), ("gpt", ANSWERS[0])],
    "image": [("human", "<image>\n<region><region>\nDescribe this image in detail."), ("gpt", ANSWERS[1])],
    "image last": [("human", "Describe this image.\n<image>"), ("gpt", ANSWERS[1])],
    "words": [("human", "Describe the image."), ("gpt", ANSWERS[2])],
    "two turns": [
        ("human", "<image>\n<region>\nWhat is this?"),
        ("gpt", ANSWERS[0]),
        ("human", "And <region>, is it larger than <region>?"),
        ("gpt", ANSWERS[3]),
    ],
    "three turns": [
        ("human", "Hello"),
        ("gpt", "A red tank."),
        ("human", "Hello"),
        ("gpt", "A red tank."),
        ("human", "Hello"),
        ("gpt", "A red tank."),
    ],
    **{f"answer {i}": [("human", "Describe."), ("gpt", answer)] for i, answer in enumerate(ANSWERS)},
}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    for kind in BYTE_LEVEL:
        build_tokenizer(folder / kind, bos=kind == "bos")
    for kind in SENTENCEPIECE:
        build_sentencepiece(folder / kind, settings=kind == "vicuna")
    return {kind: load_tokenizer(folder / kind, str(folder / kind)) for kind in BYTE_LEVEL + SENTENCEPIECE}


def pairs(names=tuple(ENDS)):
    """Templates with the tokenizers that know their end token."""
    known = {"</s>": BYTE_LEVEL + SENTENCEPIECE, "\n": BYTE_LEVEL + SENTENCEPIECE}
    return [(name, kind) for name in names for kind in known.get(ENDS[name], BYTE_LEVEL)]


def runs(labels):
    """The labelled ids, one list for each uninterrupted run."""
    found = [[]]
    for label in labels:
        if label != IGNORE_INDEX:
            found[-1].append(label)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize(("template", "kind"), pairs())
def test_labels_are_the_assistants_words_and_its_end_token(tokenizers, template, kind, conversation):
    tokenizer, turns = tokenizers[kind], CONVERSATIONS[conversation]
    tokenized = tokenize_conversation(turns, template, tokenizer)
    assert len(tokenized.input_ids) == len(tokenized.labels)
    labelled = runs(tokenized.labels)
    answers = [text for role, text in turns if role == "gpt"]
    assert len(labelled) == len(answers)
    for run, answer in zip(labelled, answers, strict=True):
        assert run[-1] == end_token_ids(template, tokenizer)[0]
        words, end = tokenizer.decode(run[:-1]), tokenizer.decode(run[-1:])
        assert (words.strip(), end) == (answer.strip(), ENDS[template])
    for token, label in zip(tokenized.input_ids, tokenized.labels, strict=True):
        assert label in (token, IGNORE_INDEX)
        assert token >= 0 or label == IGNORE_INDEX


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize(("template", "kind"), pairs())
def test_training_starts_with_the_ids_of_inference(tokenizers, template, kind, conversation):
    tokenizer, turns = tokenizers[kind], CONVERSATIONS[conversation]
    tokenized = tokenize_conversation(turns, template, tokenizer)
    for turn in range(1, len(turns), 2):
        prompt = tokenize_prompt(build_prompt(turns[:turn], template, tokenizer), tokenizer)
        assert tokenized.input_ids[: len(prompt)] == prompt
        before = runs(tokenized.labels[: len(prompt)])
        assert len(before) == turn // 2  # the earlier answers, and nothing of the one to come
        assert tokenized.labels[len(prompt)] != IGNORE_INDEX
    assert tokenized.input_ids.count(IMAGE_TOKEN_INDEX) == sum(text.count("<image>") for _, text in turns)
    assert tokenized.input_ids.count(REGION_TOKEN_INDEX) == sum(text.count("<region>") for _, text in turns)


@pytest.mark.parametrize(("template", "kind"), pairs(tuple(TEMPLATES)))
def test_any_words_keep_both_promises(tokenizers, template, kind):
    rng, tokenizer = random.Random(0), tokenizers[kind]
    end = end_token_ids(template, tokenizer)[0]
    alphabet = ["a", "tank", "Red", " ", "  ", "\n", "\n\n", ".", ":", "é", "油", "7", "(", "</", ">", "_", "\t"]
    for _ in range(20):
        question, answer = ("".join(rng.choices(alphabet, k=rng.randint(1, 12))) + "x" for _ in range(2))
        question = question.replace("tank", "<region>")
        tokenized = tokenize_conversation([("human", question), ("gpt", answer)], template, tokenizer)
        prompt = tokenize_prompt(build_prompt([("human", question)], template, tokenizer), tokenizer)
        rest = tokenized.input_ids[len(prompt) :]
        assert tokenized.input_ids == prompt + rest
        assert tokenized.labels == [IGNORE_INDEX] * len(prompt) + rest
        assert rest[-1] == end
        assert tokenizer.decode(rest[:-1]).strip() == answer.strip()


@pytest.mark.parametrize("kind", BYTE_LEVEL + SENTENCEPIECE)
def test_image_prompts_are_tokenized_as_llava_does(tokenizers, kind):
    tokenizer = tokenizers[kind]
    for prompt in ("USER: <image>\nDescribe. ASSISTANT:", "<image>\nDescribe.", "Describe <image> and<image>", "Words"):
        assert tokenize_prompt(prompt, tokenizer) == tokenizer_image_token(prompt, tokenizer)


@pytest.mark.parametrize("kind", BYTE_LEVEL + SENTENCEPIECE)
@pytest.mark.parametrize("template", ["mgimm_v1", "mgimm_llama_2", "mgimm_plain"])
def test_one_bos_token_where_the_tokenizer_adds_one(tokenizers, template, kind):
    tokenizer = tokenizers[kind]
    ids = tokenize_conversation(CONVERSATIONS["region"], template, tokenizer).input_ids
    adds = kind in ("bos", "vicuna")
    assert ids.count(tokenizer.bos_token_id) == adds
    assert (ids[0] == tokenizer.bos_token_id) == adds


def test_a_bos_token_that_the_text_begins_with_is_not_doubled(tokenizers):
    tokenizer = tokenizers["bos"]
    assert tokenize_prompt("<s>Words", tokenizer) == tokenize_prompt("Words", tokenizer)


@pytest.mark.parametrize(("template", "kind"), pairs())
def test_an_earlier_answer_without_words_has_its_end_all_the_same(tokenizers, template, kind):
    def prompt(answer):
        return build_prompt([("human", "Hello"), ("gpt", answer), ("human", "And?")], template, tokenizers[kind])

    assert prompt("") == prompt(" ") == prompt("ANSWER").replace("ANSWER", "")


@pytest.mark.parametrize("kind", SENTENCEPIECE)
def test_tokenizer_model_alone_is_enough(tokenizers, kind):
    """No ``tokenizer.json``: the leading space of sentencepiece is neither doubled nor lost."""
    tokenizer = tokenizers[kind]
    tokenized = tokenize_conversation(CONVERSATIONS["region"], "mgimm_v1", tokenizer)
    words = tokenizer.convert_ids_to_tokens(runs(tokenized.labels)[0])
    assert "".join(words) == "▁A▁red▁tank.</s>"
    tokenized = tokenize_conversation(CONVERSATIONS["region"], "mgimm_plain", tokenizer)
    assert "".join(tokenizer.convert_ids_to_tokens(runs(tokenized.labels)[0])) == "A▁red▁tank.</s>"


@pytest.mark.parametrize(
    ("template", "kind", "end"),
    [("mgimm_chatml", "vicuna", "<|im_end|>"), ("mgimm_phi", "vicuna", "<|endoftext|>"), ("v0", "no-bos", "###")],
)
def test_an_end_token_that_is_several_tokens_is_refused(tokenizers, template, kind, end):
    tokenizer = tokenizers[kind]
    with pytest.raises(MgimmError) as caught:
        tokenize_conversation(CONVERSATIONS["words"], template, tokenizer)
    message = str(caught.value)
    assert repr(template) in message
    assert repr(end) in message
    assert kind in message  # the tokenizer's folder
    assert repr(tokenizer.eos_token) in message


def test_generation_stops_at_the_templates_end_and_at_the_tokenizers(tokenizers):
    tokenizer = tokenizers["no-bos"]
    names = tokenizer.convert_ids_to_tokens(end_token_ids("mgimm_chatml", tokenizer))
    assert names == ["<|im_end|>", "</s>"]
    assert tokenizer.convert_ids_to_tokens(end_token_ids("mgimm_v1", tokenizer)) == ["</s>"]


def test_plain_ends_with_the_tokenizers_own_end_token(tmp_path):
    tokenizer = build_tokenizer(tmp_path, bos=False)
    tokenizer.eos_token = "<|endoftext|>"
    assert build_prompt(CONVERSATIONS["two turns"][:3], "mgimm_plain", tokenizer) == (
        "<image>\n<region>\nWhat is this?\nA red tank.<|endoftext|>And <region>, is it larger than <region>?\n"
    )
    tokenizer.eos_token = None
    with pytest.raises(MgimmError, match="this tokenizer has none"):
        tokenize_conversation(CONVERSATIONS["words"], "mgimm_plain", tokenizer)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([("gpt", "I begin.")], "turn 0 is of 'gpt'"),
        ([("human", "One"), ("human", "Two")], "turn 1 is of 'human'"),
        ([("human", "One"), ("system", "Two")], "turn 1 is of 'system'"),
        ([("human", "One"), ("gpt", " \n")], "turn 1: an answer may not be empty"),
    ],
)
def test_turns_that_make_no_conversation_are_refused(tokenizers, turns, message):
    with pytest.raises(MgimmError, match=message):
        tokenize_conversation(turns, "mgimm_v1", tokenizers["bos"])


def test_unknown_template_is_refused_with_those_that_exist(tokenizers):
    with pytest.raises(MgimmError, match=r"no conversation template 'mine'; known: .*mgimm_v1"):
        build_prompt(CONVERSATIONS["words"][:1], "mine", tokenizers["bos"])


def test_templates_are_not_changed_by_their_use(tokenizers):
    register_templates()
    before = {name: dataclasses.asdict(conversation) for name, conversation in conv_templates.items()}
    for name in ENDS:
        tokenize_conversation(CONVERSATIONS["two turns"], name, tokenizers["bos"])
    assert {name: dataclasses.asdict(conversation) for name, conversation in conv_templates.items()} == before
