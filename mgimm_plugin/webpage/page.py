"""The page itself: what stands where, and which handler a button calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData
from gradio_image_annotation import image_annotator

from mgimm_plugin.conversation import TEMPLATES
from mgimm_plugin.errors import ImageError
from mgimm_plugin.webpage import panels
from mgimm_plugin.webpage.examples import examples
from mgimm_plugin.webpage.handlers import Handlers, told_as_toasts
from mgimm_plugin.webpage.models import ModelShelf
from mgimm_plugin.webpage.session import Limits, Session
from mgimm_plugin.webpage.uploads import open_upload

_HEAD = (
    '<div class="mg-head"><h1>MGIMM playground</h1><p>Draw boxes on an aerial image and read what is in them.</p></div>'
)
_CLEANING = (600, 1800)
"""Every so many seconds, files older than so many seconds are deleted."""


class Page(gr.Blocks):
    """Blocks that load nothing from elsewhere: gradio itself would fetch a file that a request names by a URL."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *more: Any, **named: Any) -> Any:
        """The inputs of a handler.

        Raises:
            gr.Error: One cannot be used.
        """
        with told_as_toasts():
            if _names_url(inputs):
                raise ImageError("images are not loaded from the web: save the image and open the file")
            return await super().preprocess_data(block_fn, inputs, *more, **named)


def _names_url(value: Any) -> bool:
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str) and path.strip().lower().startswith(("http:", "https:")):
            return True
        return any(map(_names_url, value.values()))
    return isinstance(value, list | tuple) and any(map(_names_url, value))


def _image_of(file: FileData | None, limits: Limits) -> Any:
    with told_as_toasts():
        return None if file is None else open_upload(file.path, limits)


def _boxes_of(boxes: list[dict[str, Any]], parse: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Any:
    """What the component reads, but its colors only where it was sent some of its own, which are texts."""
    texts = [{key: value for key, value in box.items() if key != "color" or isinstance(value, str)} for box in boxes]
    return [
        read if "color" in text else {**read, "color": box.get("color")}
        for box, text, read in zip(boxes, texts, parse(texts), strict=True)
    ]


def build(shelf: ModelShelf, limits: Limits, corrections: Path) -> gr.Blocks:
    """Build the page.

    Args:
        shelf: The models to choose from.
        limits: What the page takes.
        corrections: JSONL file that corrected answers are appended to.
    """
    handlers = Handlers(shelf, limits, corrections)
    with Page(title="MGIMM playground", analytics_enabled=False, delete_cache=_CLEANING) as page:
        session = gr.State(Session(), time_to_live=_CLEANING[1])
        with gr.Column(elem_classes="mg-page"):
            gr.HTML(_HEAD)
            with gr.Row(elem_id="mg-flow"):
                with gr.Column(elem_id="mg-draw"):
                    canvas, gallery, upload, pasted, paste = _draw_column(limits)
                with gr.Column(elem_id="mg-ask"):
                    regions, whole, guided, cancel, settings = _ask_column(shelf)
                with gr.Column(elem_id="mg-read"):
                    _step(3, "Read")
                    picture = gr.HTML()
                    table = gr.HTML(panels.table(()), elem_id="mg-regions")
                    told = gr.HTML(panels.told(Session()), elem_id="mg-image")
                with gr.Column(elem_id="mg-more"):
                    chat = _chat(handlers, canvas, session, settings)
                    events = [chat[1]]
                    events += _more(handlers, shelf, canvas, session, settings, table, told)

        def pick(event: gr.SelectData) -> Any:
            return handlers.pick(int(event.index))

        # What asks no model does not wait in the queue behind those who do.
        gallery.select(pick, None, canvas, queue=False, api_visibility="private")
        upload.upload(handlers.open, upload, canvas, api_name="open_file")
        taken = paste.click(handlers.paste, [canvas, pasted], canvas, api_name="paste_boxes")
        taken.success(lambda: "", None, pasted, queue=False, show_progress="hidden", api_visibility="private")
        canvas.change(
            handlers.show_boxes, [canvas, session], [session, picture, table, told, chat[0]],
            show_progress="hidden", trigger_mode="always_last", concurrency_limit=None, api_visibility="private",
        )  # fmt: skip
        described = regions.click(
            handlers.describe_regions, [canvas, session, *settings], [session, table],
            concurrency_id="model", api_name="describe_regions", scroll_to_output=True,
        )  # fmt: skip
        described.then(handlers.link, session, told, queue=False, show_progress="hidden", api_visibility="private")
        events += [
            described,
            whole.click(
                handlers.describe_image, [canvas, session, guided, *settings], [session, told],
                concurrency_id="model", api_name="describe_image", scroll_to_output=True,
            ),
        ]  # fmt: skip
        cancel.click(None, None, None, cancels=events)
    return page


def _step(number: int, title: str) -> None:
    gr.HTML(f'<div class="mg-step"><h2><b>{number}</b>{title}</h2></div>')


def _draw_column(limits: Limits) -> tuple[Any, ...]:
    _step(1, "Choose an image and draw boxes")
    canvas = image_annotator(
        image_type="pil",
        label="Image",
        show_label=False,
        sources=["upload", "clipboard"],
        label_colors=[],
        boxes_alpha=0.15,
        box_min_size=4,
        show_remove_button=True,
        use_default_label=True,  # of which there is none: no dialog after each box
        elem_id="mg-canvas",
    )
    # The component decodes whatever Pillow can open, of any size, before a handler sees it.
    canvas.preprocess_image = partial(_image_of, limits=limits)
    # It takes a box without a color for a black one.
    canvas.preprocess_boxes = partial(_boxes_of, parse=canvas.preprocess_boxes)
    gallery = gr.Gallery(
        [path for path, _ in examples()],
        label="Examples",
        columns=4,
        height="auto",
        show_label=False,
        allow_preview=False,
        object_fit="cover",
        interactive=False,
        buttons=[],
        elem_id="mg-examples",
    )
    upload = gr.UploadButton("Open a file (JPEG, PNG, TIFF)", file_types=["image", ".tif", ".tiff"], size="sm")
    with gr.Accordion("Paste boxes", open=False):
        pasted = gr.Textbox(
            label="JSON, COCO, DIOR-RSVG XML, or lines of x1 y1 x2 y2", lines=4, max_lines=8, elem_id="mg-pasted"
        )
        paste = gr.Button("Add boxes", size="sm")
    return canvas, gallery, upload, pasted, paste


def _ask_column(shelf: ModelShelf) -> tuple[Any, ...]:
    _step(2, "Ask")
    regions = gr.Button("Describe regions", variant="primary", elem_id="mg-ask-regions")
    whole = gr.Button("Describe image", variant="primary", elem_id="mg-ask-image")
    guided = gr.Checkbox(True, label="guided by the boxes")
    cancel = gr.Button("Stop", size="sm")
    with gr.Accordion("Settings", open=False):
        settings = [
            gr.Dropdown(shelf.names, value=shelf.names[0], label="Checkpoint"),
            gr.Dropdown(["auto", "float32", "bfloat16", "float16"], value="auto", label="Precision"),
            gr.Dropdown(["auto", *sorted(TEMPLATES)], value="auto", label="Template"),
            gr.Slider(0, 2, 0, step=0.05, label="Temperature", info="0 always answers alike"),
            gr.Slider(1, 8, 1, step=1, label="Beams", info="more than 1: no streaming, no confidence"),
            gr.Slider(8, 400, 200, step=8, label="Longest answer", info="tokens"),
        ]
    return regions, whole, guided, cancel, settings


def _chat(handlers: Handlers, canvas: Any, session: Any, settings: list[Any]) -> tuple[Any, Any]:
    with gr.Accordion("Follow-up questions", open=True):
        shown = gr.Chatbot(
            height=220, show_label=False, buttons=[], elem_id="mg-chat", feedback_options=None,
            placeholder="Name regions by their numbers: what is between region 1 and region 3?",
        )  # fmt: skip
        message = gr.Textbox(
            placeholder="What is between region 1 and region 3?", label="Question", show_label=False,
            max_length=handlers.limits.written, submit_btn=True,
        )  # fmt: skip
        again = gr.Button("New conversation", size="sm")
    asked = message.submit(
        handlers.chat, [message, canvas, session, *settings], [session, shown, message],
        concurrency_id="model", api_name="chat",
    )  # fmt: skip
    again.click(handlers.forget_chat, session, [session, shown], cancels=asked, api_name="new_conversation")
    return shown, asked


def _more(
    handlers: Handlers, shelf: ModelShelf, canvas: Any, session: Any, settings: list[Any], table: Any, told: Any
) -> list[Any]:
    with gr.Accordion("Correct an answer", open=False):
        with gr.Row():
            number = gr.Number(1, label="Region", info="0: the image", precision=0, minimum=0, scale=1, min_width=90)
            right = gr.Textbox(
                label="What it really shows", info="kept in a file to tune on",
                max_length=handlers.limits.written, scale=6,
            )  # fmt: skip
        keep = gr.Button("Correct this", size="sm")
    with gr.Accordion("Side by side", open=False):
        second = gr.Dropdown(
            shelf.names, value=shelf.names[0], label="Right-hand model",
            info="the same model: with the boxes at the left, without at the right",
        )  # fmt: skip
        both = gr.Button("Describe both", size="sm")
        with gr.Row():
            left = gr.Textbox(label="Left: the checkpoint of the settings, with the boxes", lines=6, interactive=False)
            right_hand = gr.Textbox(label="Right: the same without, or the other model", lines=6, interactive=False)
    with gr.Accordion("Export", open=False):
        export = gr.Button("Make files", size="sm")
        files = gr.File(
            label="Picture, records, COCO, report", file_count="multiple", interactive=False, elem_id="mg-files"
        )
    keep.click(handlers.correct, [canvas, session, number, right], [session, table, told, right], api_name="correct")
    export.click(handlers.export, [canvas, session], files, api_name="export")
    compared = both.click(
        handlers.compare, [canvas, second, *settings], [left, right_hand], concurrency_id="model", api_name="compare"
    )
    return [compared]
