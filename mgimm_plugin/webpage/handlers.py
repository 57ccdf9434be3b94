"""What happens when something on the page is pressed. Every handler is given the visitor's own session."""

from __future__ import annotations

import logging
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgimm_plugin.errors import ImageError, ImageTooLargeError, MgimmError, SequenceTooLongError, is_out_of_memory
from mgimm_plugin.webpage import answers, panels
from mgimm_plugin.webpage.boxes_input import parse_boxes
from mgimm_plugin.webpage.examples import canvas_value, examples
from mgimm_plugin.webpage.exports import correct, write_exports
from mgimm_plugin.webpage.models import ModelShelf, Options
from mgimm_plugin.webpage.session import (
    Description,
    Limits,
    Row,
    Session,
    check_boxes,
    check_written,
    read_drawing,
    without_beginnings,
)
from mgimm_plugin.webpage.uploads import as_png, is_shown_by_browsers, open_upload

logger = logging.getLogger(__name__)


@contextmanager
def told_as_toasts() -> Iterator[None]:
    """Show what is wrong with an input as a toast, in its own words; of a failure of ours, that there was one."""
    import gradio as gr

    try:
        yield
    except MgimmError as error:
        raise gr.Error(_told(error), title="That did not work", print_exception=False) from error
    except gr.Error:
        raise
    except Exception as error:  # its words are for the log: they may have paths of this machine
        logger.exception("a visitor's request failed")
        traceback.clear_frames(error.__traceback__)  # gradio keeps the error a while, but must not what it took
        message = "the server failed; its log says why. Reload the page and try again"
        if is_out_of_memory(error):
            message = "the GPU's memory is too small for this: lower Longest answer or Beams, or draw a few boxes alone"
        raise gr.Error(message, title="That did not work", print_exception=False) from error


def _told(error: MgimmError) -> str:
    """An error in words for a visitor, who has other means than the command line."""
    if isinstance(error, ImageTooLargeError):
        return f"{error.fact}: cut it into tiles"
    if isinstance(error, SequenceTooLongError):
        return f"{error.fact}: lower Longest answer, draw fewer boxes or, in the chat, press New conversation"
    return str(error)


@dataclass(frozen=True, slots=True)
class Handlers:
    """The page's functions.

    Attributes:
        shelf: The models.
        limits: What the page takes.
        corrections: JSONL file of corrected answers.
    """

    shelf: ModelShelf
    limits: Limits
    corrections: Path

    def show_boxes(self, value: dict[str, Any] | None, session: Session) -> tuple[Any, ...]:
        """After drawing: the session, the numbered picture, the table, the description and the chat.

        What is not true of another image is emptied.
        """
        import gradio as gr

        if not value or value.get("image") is None:
            session.clear()
            return session, "", panels.table(()), panels.told(session), []
        with told_as_toasts():
            drawing = read_drawing(without_beginnings(value), self.limits)
            if not is_shown_by_browsers(drawing.image):
                raise ImageError("browsers do not show TIFF: take it with the button Open a file, below the examples")
            chat = [] if session.show(drawing) else gr.skip()
            return session, panels.picture(drawing), panels.table(session.rows), panels.told(session), chat

    def link(self, session: Session) -> str:
        """The description once more: what is said of regions tells which of its sentences speak of them."""
        return panels.told(session)

    def pick(self, index: int) -> dict[str, Any]:
        """An example."""
        return canvas_value(*examples()[index])

    def open(self, path: str) -> Iterator[dict[str, Any]]:
        """An uploaded file, TIFF and GeoTIFF included, which browsers do not show by themselves.

        The upload stays until gradio deletes it: of equal files it keeps one, which may be another visitor's as well.
        """
        with told_as_toasts(), as_png(open_upload(path, self.limits)) as png:
            yield canvas_value(png, [])

    def paste(self, value: dict[str, Any] | None, text: str) -> Iterator[dict[str, Any]]:
        """Pasted boxes, after those that are there; a box that is there already is not there twice."""
        with told_as_toasts():
            drawing = read_drawing(value, self.limits)
            size, there = drawing.image.size, {box.bbox for box in drawing.boxes}
            pasted = check_boxes(parse_boxes(text, self.limits, size), size, self.limits)
            new = [box for box in dict.fromkeys(pasted) if box.bbox not in there]
            boxes = check_boxes([*drawing.boxes, *new], size, self.limits)
            with as_png(drawing.image) as png:
                yield canvas_value(png, boxes)

    def describe_regions(
        self, value: dict[str, Any] | None, session: Session, *settings: Any
    ) -> Iterator[tuple[Session, str]]:
        """All boxes, into the table as the words come."""
        with told_as_toasts():
            drawing, options = read_drawing(value, self.limits), _options(settings)
            session.show(drawing)
            image, moment = session.image, session.next_moment()
            for seconds in self.shelf.loading(options):
                yield session, panels.loading(options.model, seconds)
            for grown in answers.describe_regions(self.shelf.get(options), drawing, options):
                if session.image != image:
                    return  # the visitor has opened another one meanwhile
                session.hear(drawing.boxes, grown, options.model, moment)
                yield session, panels.table(session.rows)

    def describe_image(
        self, value: dict[str, Any] | None, session: Session, guided: bool, *settings: Any
    ) -> Iterator[tuple[Session, str]]:
        """The whole image, as the words come."""
        with told_as_toasts():
            drawing, options = read_drawing(value, self.limits), _options(settings)
            session.show(drawing)
            image, moment, guides = session.image, session.next_moment(), drawing.boxes if guided else ()
            for seconds in self.shelf.loading(options):
                yield session, panels.loading(options.model, seconds)
            for answer in answers.describe_image(self.shelf.get(options), drawing, options, guided=guided):
                if session.image != image:
                    return
                if answer.text or answer.done:  # before the first word, the description of before stays
                    session.hear_of_image(Description(answer.text, guides, options.model, moment))
                yield session, panels.told(session)

    def compare(self, value: dict[str, Any] | None, second: str, *settings: Any) -> Iterator[tuple[str, str]]:
        """The image twice: with and without its boxes, or, where another model is chosen, by both."""
        with told_as_toasts():
            drawing, options = read_drawing(value, self.limits), _options(settings)
            other = _options((second or options.model, *settings[1:]))
            left, same = "", other.model == options.model
            for seconds in self.shelf.loading(options):
                yield panels.loading_text(options.model, seconds), ""
            for answer in answers.describe_image(self.shelf.get(options), drawing, options, guided=True):
                left = answer.text
                yield left, ""
            for seconds in self.shelf.loading(other):
                yield left, panels.loading_text(other.model, seconds)
            for answer in answers.describe_image(self.shelf.get(other), drawing, other, guided=not same):
                yield left, answer.text

    def chat(
        self, message: str, value: dict[str, Any] | None, session: Session, *settings: Any
    ) -> Iterator[tuple[Session, list[Any], str]]:
        """A question about the image and its regions, after those before.

        The conversation is the session's own: what a browser would send of it may name files.
        """
        with told_as_toasts():
            check_written(message, self.limits)
            drawing, options = read_drawing(value, self.limits), _options(settings)
            session.show(drawing)
            turns, shown = session.turns, [*session.messages, {"role": "user", "content": message}]
            for seconds in self.shelf.loading(options):
                yield session, [*shown, _says(panels.loading_text(options.model, seconds))], ""
            for answer in answers.reply(self.shelf.get(options), drawing, session, message, options):
                if session.turns is not turns:
                    return  # of another image, or a new conversation
                yield session, [*shown, _says(answer.text)], ""

    def forget_chat(self, session: Session) -> tuple[Session, list[Any]]:
        """An empty chat: the model's context has room for a few turns only."""
        session.forget_chat()
        return session, []

    def export(self, value: dict[str, Any] | None, session: Session) -> Iterator[list[str]]:
        """Files to download. Gradio takes copies, which it deletes in time; ours are gone once it has them."""
        with told_as_toasts(), tempfile.TemporaryDirectory(prefix="mgimm-export-") as folder:
            drawing = read_drawing(value, self.limits)
            session.show(drawing)
            yield [str(path) for path in write_exports(Path(folder), drawing, session)]

    def correct(
        self, value: dict[str, Any] | None, session: Session, number: float | None, text: str
    ) -> tuple[Session, str, str, str]:
        """The visitor's own words for a region, or for the image (0): onto the page, and into the file."""
        import gradio as gr

        with told_as_toasts():
            check_written(text, self.limits)
            drawing = read_drawing(value, self.limits)
            session.show(drawing)
            words = text.strip()
            if not words:
                raise MgimmError("the correction is empty: write what is really there")
            if number is None:  # as the field sends it when it was emptied
                raise MgimmError("it is not said what is corrected: name a region, or 0 for the image")
            at = int(number)
            if not 0 <= at <= len(session.rows):
                raise MgimmError(f"there is no region {at}; the image has {len(session.rows)}")
            if at:
                row = Row(session.rows[at - 1].box, words, moment=session.next_moment())
                correct(self.corrections, drawing, row)
                session.rows[at - 1] = row
            else:
                guides = session.description.boxes if session.description else ()
                description = Description(words, guides, "", session.next_moment())
                correct(self.corrections, drawing, description, session.rows)
                session.description = description
        gr.Info(f"Kept in {self.corrections.name}", title="Thank you")
        return session, panels.table(session.rows), panels.told(session), ""


def _says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _options(settings: tuple[Any, ...]) -> Options:
    model, precision, template, temperature, beams, length = settings
    return Options(model, precision, template, float(temperature), int(beams), int(length))
