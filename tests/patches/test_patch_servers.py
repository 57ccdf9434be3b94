"""The model worker and the web server: they answer, and a wrong request hears what is wrong with it."""

import argparse
import base64
import functools
import io
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest
from PIL import Image

from tests.patches.conftest import ROOT

pytest.importorskip("fastapi")
PROMPT = "USER: <image>\ndescribe the image ASSISTANT:"
NO_CONTROLLER = "http://127.0.0.1:9"  # the discard port: nobody listens


@functools.cache
def worker_of(folder: str):
    from llava.serve.model_worker import ModelWorker

    return ModelWorker(NO_CONTROLLER, NO_CONTROLLER, "test", True, folder, None, None, False, False, "cpu")


def post(folder, **request):
    """Start a worker on a model in this process, without a controller, and return the messages of one answer."""
    answer = post_body(folder, json={"temperature": 0, "max_new_tokens": 8, **request})
    return [json.loads(part) for part in answer.content.split(b"\0") if part]


def post_body(folder, **body):
    import llava.serve.model_worker as module
    from fastapi.testclient import TestClient

    module.args = argparse.Namespace(limit_model_concurrency=2)
    module.model_semaphore = None
    module.worker = worker_of(str(folder))
    with TestClient(module.app) as client:
        answer = client.post("/worker_generate_stream", **body)
        assert client.post("/worker_get_status").json()["queue_length"] == 0
    return answer


@pytest.fixture(scope="module")
def encoded(picture):
    return base64.b64encode(picture.read_bytes()).decode()


def test_worker_without_controller_does_not_wait_for_one(run_python, tmp_path):
    """Unpatched, the first heart beat of a worker started with --no-register waits for ever, in the event loop."""
    code = (
        "import argparse, time, llava.serve.model_worker as module\n"
        "def sleep(seconds): raise InterruptedError\n"
        "def heart_beat():\n"
        "    module.load_pretrained_model = lambda *a, **k: (None, argparse.Namespace(device='cpu'), None, 0)\n"
        f"    worker = module.ModelWorker({NO_CONTROLLER!r}, '', '', True, 'm', None, None, False, False, 'cpu')\n"
        "    waited, awake, time.sleep = False, time.sleep, sleep\n"
        "    try: worker.send_heart_beat()\n"
        "    except InterruptedError: waited = True\n"
        "    time.sleep = awake\n"
        "    return waited\n"
        "unpatched = heart_beat()\n"
        "import mgimm_patches; mgimm_patches.apply_all()\n"
        "assert (unpatched, heart_beat()) == (True, False)"
    )
    result = run_python(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_worker_streams_the_models_words(llava_folder, picture, encoded):
    messages = post(llava_folder, prompt=PROMPT, images=[encoded], stop="</s>")
    assert {message["error_code"] for message in messages} == {0}
    from llava.mm_utils import process_images, tokenizer_image_token
    from llava.model.builder import load_pretrained_model

    tokenizer, model, image_processor, _ = load_pretrained_model(str(llava_folder), None, "", device="cpu")
    image = Image.open(picture).convert("RGB")
    ids = model.generate(
        tokenizer_image_token(PROMPT, tokenizer, return_tensors="pt")[None],
        images=process_images([image], image_processor, model.config),
        image_sizes=[image.size],
        do_sample=False,
        max_new_tokens=8,
    )
    assert (
        messages[-1]["text"].removeprefix(PROMPT).strip() == tokenizer.decode(ids[0], skip_special_tokens=True).strip()
    )


def test_worker_stops_at_a_stop_text_and_does_not_say_it(llava_folder, encoded):
    words = post(llava_folder, prompt=PROMPT, images=[encoded])[-1]["text"].removeprefix(PROMPT).split()
    for stop in (words[2], [words[2], words[3]], [words[3], words[2]]):
        stopped = post(llava_folder, prompt=PROMPT, images=[encoded], stop=stop)
        assert stopped[-1]["text"].removeprefix(PROMPT).split() == words[:2]


def test_worker_answers_about_regions(mgimm_folder, picture, encoded):
    """The boxes of a request reach the model: the answer is the predictor's for the same question."""
    from mgimm_plugin.predictor import Predictor, Question

    boxes = [[2, 3, 20, 15], [10, 0, 40, 24]]
    text = "<region> <region>\nWhat is it?"
    predictor = Predictor.from_pretrained(str(mgimm_folder), device="cpu")
    expected = predictor.answer([Question(picture, text, tuple(map(tuple, boxes)))], max_new_tokens=8)[0]

    from mgimm_plugin.tokenization import build_prompt

    template = json.loads((mgimm_folder / "config.json").read_text())["mm_conversation_template"]
    from transformers import AutoTokenizer

    prompt = build_prompt([("human", text)], template, AutoTokenizer.from_pretrained(mgimm_folder))
    messages = post(mgimm_folder, prompt=prompt, images=[encoded], regions=boxes)
    assert messages[-1]["error_code"] == 0, messages
    assert messages[-1]["text"].removeprefix(prompt).strip() == expected.strip()


@pytest.mark.parametrize(
    ("request_part", "reason"),
    [
        ({"prompt": "<region> what", "regions": []}, "1 <region> tokens"),
        ({"prompt": "<region> what", "regions": [[0, 0, 9, 9], [0, 0, 9, 9]]}, "2 boxes"),
        ({"prompt": "<region> what", "regions": [[0, 0, "nan", 9]]}, "NaN"),
        ({"prompt": "<region> what", "regions": [[9, 9, 3, 3]]}, "encloses nothing"),
        ({"prompt": "<region> what", "regions": [[90, 90, 99, 99]]}, "outside"),
        ({"prompt": "<region> what", "regions": [[1, 2, 3]]}, "x1, y1, x2, y2"),
        ({"prompt": "<region> what", "regions": "all"}, "no list of boxes"),
        ({"prompt": "<image><image> what"}, "1 images"),
        ({"prompt": "<image> what", "images": ["bm8gcGljdHVyZQ=="]}, r"images\[0\]"),
        ({"prompt": "<region> what", "regions": [[0, 0, 9, 9]], "images": []}, "no image"),
        ({"prompt": "what", "temperature": "warm", "images": []}, "warm"),
        ({"prompt": None}, "prompt is missing; send a text"),
        ({"prompt": 7}, "prompt is '7'; send a text"),
        ({"images": "abc"}, "images is no list of texts"),
        ({"images": [5]}, "images is no list of texts"),
        ({"stop": 3}, "stop is '3'; send a text, or a list of texts"),
        ({"stop": [3]}, "stop is .*; send a text, or a list of texts"),
        ({"max_new_tokens": "many"}, "max_new_tokens is 'many'; send a number of at least 1"),
        ({"max_new_tokens": 0}, "max_new_tokens is '0'; send a number of at least 1"),
        ({"max_new_tokens": 2.5}, "max_new_tokens is '2.5'; send a whole number"),
        ({"temperature": [1]}, r"temperature is '\[1\]'; send a number of at least 0"),
        ({"top_p": 2}, "top_p is '2'; send a number from 0 to 1"),
    ],
)
def test_wrong_requests_hear_why(mgimm_folder, encoded, request_part, reason):
    (message,) = post(mgimm_folder, **{"prompt": PROMPT, "images": [encoded], **request_part})
    assert message["error_code"] == 1
    assert re.search(reason, message["text"])


@pytest.mark.parametrize("body", [b"x", b"", b"\xff\xfe"])
def test_a_body_that_is_no_json_hears_so(llava_folder, body):
    answer = post_body(llava_folder, content=body)
    message = json.loads(answer.content.removesuffix(b"\0"))
    assert (answer.status_code, message["error_code"]) == (400, 1)
    assert "the body is not JSON" in message["text"]
    assert "no JSON object" in post_body(llava_folder, json=[]).text


def test_null_is_a_missing_field(llava_folder, encoded):
    answers = [
        post(llava_folder, prompt=PROMPT, images=[encoded], **fields)
        for fields in ({}, {"stop": None, "regions": None, "top_p": None})
    ]
    assert answers[0] == answers[1]
    sampled = post(llava_folder, prompt=PROMPT, images=[encoded], temperature=None, max_new_tokens=None)
    assert sampled[-1]["error_code"] == 0


@pytest.mark.parametrize(
    ("size", "mode", "kind", "reason"),
    [
        ((30_000, 1), "RGB", "PNG", "too elongated for image_aspect_ratio .*; send it smaller, or cut it into tiles"),
        ((9000, 8000), "1", "PNG", "9000x8000 pixels, more than the limit of 64000000; send it smaller"),
        ((9, 9), "I;16", "PNG", "not 8 bits a channel"),
        ((9, 9), "RGB", "EPS", "not an image of a kind that is taken"),
        ((9, 9), "RGB", "GIF", "not an image of a kind that is taken"),
    ],
)
def test_images_are_held_to_the_rules_of_the_server(llava_folder, size, mode, kind, reason):
    content = io.BytesIO()
    Image.new(mode, size).save(content, kind)
    (message,) = post(llava_folder, prompt=PROMPT, images=[base64.b64encode(content.getvalue()).decode()])
    assert message["error_code"] == 1
    assert re.search(rf"images\[0\].*{reason}", message["text"])
    assert "--max-pixels" not in message["text"]


def test_model_without_region_encoder_says_so(llava_folder, encoded):
    (message,) = post(llava_folder, prompt="<region> what", images=[encoded], regions=[[0, 0, 9, 9]])
    assert message["error_code"] == 1
    assert "no region encoder" in message["text"]


def test_defect_while_generating_is_reported_not_swallowed(llava_folder, encoded, monkeypatch):
    from llava.model.language_model.llava_llama import LlavaLlamaForCausalLM

    def broken(self, *args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(LlavaLlamaForCausalLM, "generate", broken)
    (message,) = post(llava_folder, prompt=PROMPT, images=[encoded])
    assert message["error_code"] == 1
    assert "RuntimeError" in message["text"]


def test_web_page_can_be_built(run_python, tmp_path):
    """Unpatched, gradio 6 does not know one of its arguments."""
    pytest.importorskip("gradio")
    code = (
        "import argparse, llava.serve.gradio_web_server as server\n"
        "server.args, server.models = argparse.Namespace(model_list_mode='once'), []\n"
        "try: server.build_demo(False)\n"
        "except TypeError as error: assert '_js' in str(error)\n"
        "else: raise SystemExit('not needed')\n"
        "import mgimm_patches; mgimm_patches.apply_all()\n"
        "server.build_demo(False)"
    )
    result = run_python(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture
def start_llava(tmp_path):
    """Start a module of LLaVA in a process of its own, as ``mgimm llava`` does; ends it after the test."""
    import requests

    started = []

    def start(module: str, path: str, method: str, port: int, *arguments: str) -> None:
        code = (
            "import sys; from mgimm_patches.runner import run_module; sys.exit(run_module(sys.argv[1], sys.argv[2:]))"
        )
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}", "OMP_NUM_THREADS": "1"}
        log = (tmp_path / f"{module}.log").open("w")
        command = [sys.executable, "-c", code, module, "--port", str(port), *arguments]
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
        started.append(process)
        while process.poll() is None:
            try:
                if requests.request(method, f"http://127.0.0.1:{port}{path}", timeout=10).ok:
                    return
            except requests.exceptions.ConnectionError:
                time.sleep(0.5)
        pytest.fail((tmp_path / f"{module}.log").read_text()[-3000:])

    yield start
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.mark.slow
def test_web_server_lists_the_model_and_answers(start_llava, mgimm_folder, picture):
    gradio_client = pytest.importorskip("gradio_client")
    controller, worker, web = (free_port() for _ in range(3))
    url = "http://127.0.0.1:{}".format
    start_llava("serve.controller", "/list_models", "POST", controller, "--host", "127.0.0.1")
    start_llava(
        "serve.model_worker",
        "/worker_get_status",
        "POST",
        worker,
        *("--host", "127.0.0.1", "--model-path", str(mgimm_folder), "--device", "cpu"),
        *("--controller-address", url(controller), "--worker-address", url(worker)),
    )
    start_llava(
        "serve.gradio_web_server",
        "/config",
        "GET",
        web,
        *("--host", "127.0.0.1", "--controller-url", url(controller), "--model-list-mode", "reload"),
    )
    client = gradio_client.Client(url(web), verbose=False)
    assert client.predict(api_name="/load_demo_refresh_model_list")["value"] == mgimm_folder.name
    client.predict("Describe it.", gradio_client.handle_file(str(picture)), "Default", api_name="/add_text_1")
    chat = client.predict(mgimm_folder.name, 0.0, 1.0, 8, api_name="/http_bot_2")
    assert [message["role"] for message in chat] == ["user", "assistant"]
    assert "error_code" not in str(chat[-1]["content"])
