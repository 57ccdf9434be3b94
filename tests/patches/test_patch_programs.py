"""LLaVA's command-line programs, run as ``mgimm llava`` runs them, say what the model in memory says."""

import io
import json

import pytest
from mgimm_patches.runner import available_modules, run_module

from mgimm_plugin.errors import MgimmError

LENGTH = 8
QUESTION = "describe the image"


@pytest.fixture(params=["llava", "mgimm"])
def checkpoint(request, llava_folder, mgimm_folder):
    """A folder, and the template that its programs must use."""
    return {"llava": (llava_folder, "llava_v1"), "mgimm": (mgimm_folder, None)}[request.param]


def in_memory(folder, template, picture) -> str:
    """Greedy text of the model, loaded and asked without any of the programs."""
    from llava.conversation import conv_templates
    from llava.mm_utils import process_images, tokenizer_image_token
    from llava.model.builder import load_pretrained_model
    from PIL import Image

    tokenizer, model, image_processor, _ = load_pretrained_model(str(folder), None, "", device="cpu")
    conversation = conv_templates[template or model.config.mm_conversation_template].copy()
    conversation.append_message(conversation.roles[0], f"<image>\n{QUESTION}")
    conversation.append_message(conversation.roles[1], None)
    image = Image.open(picture).convert("RGB")
    ids = model.generate(
        tokenizer_image_token(conversation.get_prompt(), tokenizer, return_tensors="pt")[None],
        images=process_images([image], image_processor, model.config),
        image_sizes=[image.size],
        do_sample=False,
        max_new_tokens=LENGTH,
    )
    return tokenizer.batch_decode(ids, skip_special_tokens=True)[0].strip()


def template_arguments(template):
    return ["--conv-mode", template] if template else []


def test_run_llava_prints_the_models_words_and_nothing_else(checkpoint, picture, capsys):
    folder, template = checkpoint
    arguments = ["--model-path", str(folder), "--image-file", str(picture), "--query", QUESTION]
    arguments += ["--temperature", "0", "--max_new_tokens", str(LENGTH), *template_arguments(template)]
    assert run_module("eval.run_llava", arguments) == 0
    assert capsys.readouterr().out.strip() == in_memory(folder, template, picture)


def test_cli_answers_and_keeps_its_answer_in_the_history(checkpoint, picture, capsys, monkeypatch):
    folder, template = checkpoint
    expected = in_memory(folder, template, picture)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{QUESTION}\nand the ship\n"))
    arguments = ["--model-path", str(folder), "--image-file", str(picture), "--device", "cpu", "--temperature", "0"]
    arguments += ["--max-new-tokens", str(LENGTH), "--debug", *template_arguments(template)]
    assert run_module("serve.cli", arguments) == 0
    shown = capsys.readouterr().out
    prompts = [eval(line)["prompt"] for line in shown.splitlines() if line.strip().startswith("{'prompt'")]
    assert expected in shown
    assert expected in prompts[1]  # the second question follows the first answer


@pytest.mark.parametrize("program", ["eval.model_vqa", "eval.model_vqa_loader"])
def test_vqa_programs_write_the_models_words(checkpoint, picture, tmp_path, program):
    folder, template = checkpoint
    questions, answers = tmp_path / "questions.jsonl", tmp_path / "out" / "answers.jsonl"
    questions.write_text(json.dumps({"question_id": 1, "image": picture.name, "text": QUESTION}) + "\n")
    arguments = ["--model-path", str(folder), "--image-folder", str(picture.parent), "--temperature", "0"]
    arguments += ["--question-file", str(questions), "--answers-file", str(answers), *template_arguments(template)]
    if program == "eval.model_vqa_loader":
        arguments += ["--max_new_tokens", str(LENGTH)]
    assert run_module(program, arguments) == 0
    answer = json.loads(answers.read_text())["text"]
    assert answer.startswith(in_memory(folder, template, picture))


def test_unpatched_run_llava_needs_cuda(run_python, llava_folder, picture):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is CUDA here")
    code = (
        "import argparse, llava.eval.run_llava as program\n"
        f"program.eval_model(argparse.Namespace(model_path={str(llava_folder)!r}, model_base=None, query='a', sep=',',"
        f" conv_mode=None, image_file={str(picture)!r}, temperature=0, top_p=None, num_beams=1, max_new_tokens=2))"
    )
    assert run_python(code).returncode != 0


def test_every_program_has_something_to_follow():
    import importlib

    from mgimm_patches import programs

    for target in programs.PROGRAMS:
        importlib.import_module(target)
    states = {patch.name: patch.state for patch in programs.PATCHES}
    assert set(states.values()) == {"applied"}, states


def test_unknown_module_lists_those_there_are():
    assert {"serve.cli", "serve.model_worker", "eval.run_llava", "train.train"} <= set(available_modules())
    with pytest.raises(MgimmError, match=r"serve\.cli"):
        run_module("serve.nothing", [])


def test_help_and_bad_usage_have_their_exit_codes(capsys):
    assert run_module("llava.serve.cli", ["--help"]) == 0
    assert run_module("serve.cli", ["--no-such-option"]) == 2
