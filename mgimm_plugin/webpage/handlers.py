"""What happens when something on the page is pressed. Every handler is given the visitor's own session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mgimm_plugin.data.images import open_image
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.webpage import answers, panels
from mgimm_plugin.webpage.boxes_input import parse_boxes
from mgimm_plugin.webpage.examples import canvas_value, examples
from mgimm_plugin.webpage.exports import correct, write_exports
from mgimm_plugin.webpage.models import ModelShelf, Options
from mgimm_plugin.webpage.session import Limits, Session, check_boxes, read_drawing

if TYPE_CHECKING:
    from mgimm_plugin.predictor import Predictor


@contextmanager
def told_as_toasts() -> Iterator[None]:
    """Show what is wrong with an input as a toast, in its own words."""
    import gradio as gr

    try:
        yield
    except MgimmError as error:
        raise gr.Error(str(error), title="That did not work", print_exception=False) from error


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

    def show_boxes(self, value: dict[str, Any] | None, session: Session) -> tuple[Session, str, str]:
        """After drawing: the numbered picture, and the table with what is still true."""
        if not value or value.get("image") is None:
            return Session(), "", panels.table(())
        with told_as_toasts():
            drawing = read_drawing(value, self.limits)
        session.show(drawing.boxes)
        return session, panels.picture(drawing), panels.table(session.rows)

    def pick(self, index: int) -> tuple[dict[str, Any], Session, str, list[Any]]:
        """An example, and a fresh session."""
        path, boxes = examples()[index]
        return canvas_value(path, boxes), Session(), panels.told("", (), (1, 1)), []

    def open(self, path: str) -> tuple[dict[str, Any], Session, str, list[Any]]:
        """An uploaded file, TIFF and GeoTIFF included, which browsers do not show by themselves."""
        with told_as_toasts():
            image = open_image(path, max_pixels=self.limits.pixels)
        return canvas_value(image, []), Session(), panels.told("", (), (1, 1)), []

    def paste(self, value: dict[str, Any] | None, text: str) -> dict[str, Any]:
        """Pasted boxes, after those that are there."""
        with told_as_toasts():
            drawing = read_drawing(value, self.limits)
            pasted = parse_boxes(text, self.limits)
            boxes = check_boxes([*drawing.boxes, *pasted], drawing.image.size, self.limits)
        return canvas_value(drawing.image, list(boxes))

    def describe_regions(
        self, value: dict[str, Any] | None, session: Session, *settings: Any
    ) -> Iterator[tuple[Session, str]]:
        """All boxes in one batch, into the table as the words come."""
        with told_as_toasts():
            drawing, options = read_drawing(value, self.limits), _options(settings)
            session.show(drawing.boxes)
            for grown in answers.describe_regions(self._model(options), drawing, options):
                for row, answer in zip(session.rows, grown, strict=True):
                    row.phrase, row.confidence = answer.text, answer.confidence
                yield session, panels.table(session.rows)

    def describe_image(
        self, value: dict[str, Any] | None, session: Session, guided: bool, *settings: Any
    ) -> Iterator[tuple[Session, str]]:
        """The whole image, as the words come."""
        with told_as_toasts():
            drawing, options = read_drawing(value, self.limits), _options(settings)
            session.show(drawing.boxes)
            session.guided = guided and bool(drawing.boxes)
            for answer in answers.describe_image(self._model(options), drawing, options, guided=session.guided):
                session.description = answer.text
                yield session, panels.told(answer.text, session.rows, drawing.image.size)

    def compare(self, value: dict[str, Any] | None, second: str, *settings: Any) -> Iterator[tuple[str, str]]:
        """The image twice: with and without its boxes, or, where another model is chosen, by both."""
        with told_as_toasts():
            drawing, options = read_drawing(value, self.limits), _options(settings)
            other = _options((second or options.model, *settings[1:]))
            left = right = ""
            for answer in answers.describe_image(self._model(options), drawing, options, guided=True):
                left = answer.text
                yield left, right
            same = other.model == options.model
            for answer in answers.describe_image(self._model(other), drawing, other, guided=not same):
                right = answer.text
                yield left, right

    def chat(
        self, message: str, value: dict[str, Any] | None, session: Session, shown: list[Any], *settings: Any
    ) -> Iterator[tuple[Session, list[Any], str]]:
        """A question about the image and its regions, after those before."""
        with told_as_toasts():
            drawing, options = read_drawing(value, self.limits), _options(settings)
            shown = [*shown, {"role": "user", "content": message}]
            for answer in answers.reply(self._model(options), drawing, session, message, options):
                yield session, [*shown, {"role": "assistant", "content": answer.text}], ""

    def export(self, value: dict[str, Any] | None, session: Session, model: str) -> Iterator[list[str]]:
        """Files to download. Gradio takes copies, which it deletes in time; ours are gone once it has them."""
        with told_as_toasts(), tempfile.TemporaryDirectory(prefix="mgimm-export-") as folder:
            drawing = read_drawing(value, self.limits)
            session.show(drawing.boxes)
            yield [str(path) for path in write_exports(Path(folder), drawing, session, model)]

    def correct(
        self, value: dict[str, Any] | None, session: Session, number: float, text: str
    ) -> tuple[Session, str, str]:
        """The visitor's own words for a region: into the table, and into the file."""
        import gradio as gr

        with told_as_toasts():
            drawing = read_drawing(value, self.limits)
            session.show(drawing.boxes)
            if not 1 <= int(number or 0) <= len(session.rows):
                raise MgimmError(f"there is no region {int(number or 0)}; the image has {len(session.rows)}")
            row = session.rows[int(number) - 1]
            correct(self.corrections, drawing, row, text)
            row.phrase, row.confidence = text.strip(), float("nan")
        gr.Info(f"Kept in {self.corrections.name}", title="Thank you")
        return session, panels.table(session.rows), ""

    def _model(self, options: Options) -> Predictor:
        import gradio as gr

        if not self.shelf.is_loaded(options):
            gr.Info(f"{options.model} is being loaded", title="A moment")
        return self.shelf.get(options)


def _options(settings: tuple[Any, ...]) -> Options:
    model, precision, template, temperature, beams, length = settings
    return Options(model, precision, template, float(temperature), int(beams), int(length))
