"""Templates are laid out as LLaVA's, and a conversation knows its regions."""

import dataclasses
import json

import pytest
from llava.conversation import SeparatorStyle, conv_templates

from mgimm_plugin.conversation import TEMPLATES, RegionConversation, end_token, get_template, register_templates
from mgimm_plugin.errors import MgimmError

TALK = ["<image>\nWhat is this?", "A golf field.", "How large?", None]


def prompt_of(conversation, talk=TALK, system=None):
    conversation = conversation.copy()
    conversation.messages, conversation.offset = [], 0
    if system is not None:
        conversation.system = system
    for position, text in enumerate(talk):
        conversation.append_message(conversation.roles[position % 2], text)
    return conversation.get_prompt()


@pytest.mark.parametrize(
    ("ours", "theirs"), [("mgimm_v1", "v1"), ("mgimm_v1", "vicuna_v1"), ("mgimm_llama_2", "llava_llama_2")]
)
def test_prompts_are_those_of_llavas_template(ours, theirs):
    assert prompt_of(get_template(ours)) == prompt_of(conv_templates[theirs])


def test_v1_is_laid_out_as_llava_v1():
    """The two differ in the system text."""
    llava_v1 = conv_templates["llava_v1"]
    assert prompt_of(get_template("mgimm_v1"), system=llava_v1.system) == prompt_of(llava_v1)
    assert prompt_of(get_template("mgimm_v1"), system="Be brief.") == (
        "Be brief. USER: <image>\nWhat is this? ASSISTANT: A golf field.</s>USER: How large? ASSISTANT:"
    )


def test_phi_is_v1_with_phis_end_token():
    assert prompt_of(get_template("mgimm_phi")) == prompt_of(get_template("mgimm_v1")).replace("</s>", "<|endoftext|>")


def test_chatml_is_laid_out_as_the_models_of_that_format_expect():
    assert prompt_of(get_template("mgimm_chatml"), system="<|im_start|>system\nBe brief.") == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<image>\nWhat is this?<|im_end|>\n"
        "<|im_start|>assistant\nA golf field.<|im_end|>\n"
        "<|im_start|>user\nHow large?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_plain_keeps_the_instruction():
    assert prompt_of(get_template("mgimm_plain"), ["<region>\nDescribe it.", None]) == "<region>\nDescribe it.\n"


def test_templates_are_known_to_llava_after_registration():
    register_templates()
    register_templates()
    assert {name: conv_templates[name] for name in TEMPLATES} == TEMPLATES


def test_a_template_is_a_fresh_empty_copy():
    first = get_template("mgimm_v1")
    first.append_regions("<region> what?", [(0, 0, 1, 1)])
    first.roles = ("A", "B")
    again = get_template("mgimm_v1")
    assert (again.messages, again.regions, list(again.roles)) == ([], [], ["USER", "ASSISTANT"])
    assert get_template("v0").messages == []  # LLaVA's own begin with an example talk
    assert conv_templates["v0"].messages


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("mgimm_v1", "</s>"),
        ("mgimm_phi", "<|endoftext|>"),
        ("mgimm_chatml", "<|im_end|>"),
        ("v0", "###"),
        ("plain", "\n"),
    ],
)
def test_an_answer_ends_with_the_templates_end_token(name, end):
    assert end_token(get_template(name)) == end


def test_regions_are_kept_in_the_order_of_their_tokens():
    conversation = get_template("mgimm_v1")
    assert isinstance(conversation, RegionConversation)
    conversation.append_regions("<image>\n<region> and <region>: which is larger?", [(0, 0, 5, 5), (1, 2, 3, 4)])
    conversation.append_message(conversation.roles[1], "The first.")
    conversation.append_regions("And <region>?", [(6, 6, 7, 7)])
    assert conversation.regions == [(0, 0, 5, 5), (1, 2, 3, 4), (6, 6, 7, 7)]
    assert conversation.get_prompt().count("<region>") == 3


@pytest.mark.parametrize("boxes", [[], [(0, 0, 1, 1), (0, 0, 2, 2)]])
def test_a_region_without_its_box_is_refused(boxes):
    conversation = get_template("mgimm_v1")
    with pytest.raises(MgimmError, match=rf"1 <region> tokens and {len(boxes)} boxes"):
        conversation.append_regions("<region> what?", boxes)
    assert (conversation.messages, conversation.regions) == ([], [])


def test_a_copy_goes_its_own_way():
    first = get_template("mgimm_plain")
    first.append_regions("<region>", [(0, 0, 1, 1)])
    second = first.copy()
    assert dataclasses.asdict(second) == dataclasses.asdict(first)
    assert isinstance(second, RegionConversation)
    second.append_regions("<region>", [(2, 2, 3, 3)])
    second.messages[0][1] = "other"
    assert first.regions == [(0, 0, 1, 1)]
    assert first.messages == [["", "<region>"]]
    assert second.end_is_eos


def test_a_conversation_can_be_written_as_json():
    conversation = get_template("mgimm_v1")
    conversation.append_regions("<region> what?", [(0, 0, 5, 5)])
    written = json.loads(json.dumps(conversation.dict()))
    assert written["regions"] == [[0, 0, 5, 5]]
    assert written["messages"] == [["USER", "<region> what?"]]


def test_every_template_says_how_it_is_laid_out():
    for name, template in TEMPLATES.items():
        assert isinstance(template.sep_style, SeparatorStyle), name
        assert end_token(template), name
