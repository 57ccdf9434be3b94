"""What a visitor takes along: an annotated picture, records, COCO, a report; and corrections, kept in a local file."""

from __future__ import annotations

import json
import math
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from mgimm_plugin.constants import DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN, IMAGE_QUESTION, REGION_QUESTION
from mgimm_plugin.data.records import parse_record
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.webpage.linking import attributes_of
from mgimm_plugin.webpage.session import Description, Drawing, Row, Session, color_of, ink_on

_writing = threading.Lock()


def annotated(drawing: Drawing) -> Image.Image:
    """The image with its boxes drawn on it, numbered."""
    picture = drawing.image.copy()
    draw = ImageDraw.Draw(picture)
    side = max(12, max(picture.size) // 24)
    font = ImageFont.load_default(size=side * 0.75)
    for number, box in enumerate(drawing.boxes, 1):
        x1, y1, x2, y2 = box.bbox
        color = color_of(number, box)
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=color, width=max(2, side // 8))
        draw.rectangle((x1, y1, x1 + side, y1 + side), fill=color)
        draw.text((x1 + side / 2, y1 + side / 2), str(number), fill=ink_on(color), font=font, anchor="mm")
    return picture


def records(session: Session, size: tuple[int, int], image_name: str) -> list[dict[str, Any]]:
    """Training records of what was said: one a described region, and one of the image where it was described.

    Args:
        session: The answers.
        size: (width, height) of the image.
        image_name: Path of the image relative to the image folder.
    """
    name = Path(image_name).stem
    found = [
        region_record(row, size, image_name, f"{name}-{number}")
        for number, row in enumerate(session.rows, 1)
        if row.phrase
    ]
    if session.description is not None:
        found.append(image_record(session.description, session.rows, size, image_name, name))
    return found


def region_record(row: Row, size: tuple[int, int], image_name: str, record_id: str) -> dict[str, Any]:
    """The training record of one region."""
    return _record(
        record_id, image_name, size, [_region(row)], f"{DEFAULT_REGION_TOKEN}\n{REGION_QUESTION}", row.phrase
    )


def image_record(
    description: Description, rows: Sequence[Row], size: tuple[int, int], image_name: str, record_id: str
) -> dict[str, Any]:
    """The training record of a description, guided by the boxes that guided it."""
    said = {row.box.bbox: row for row in rows}  # of a guide, where it is still there
    guides = [_region(said.get(box.bbox, Row(box))) for box in description.boxes]
    head = [DEFAULT_IMAGE_TOKEN, DEFAULT_REGION_TOKEN * len(guides), IMAGE_QUESTION]
    question = "\n".join(part for part in head if part)
    return _record(record_id, image_name, size, guides, question, description.text)


def coco(session: Session, size: tuple[int, int], image_name: str) -> dict[str, Any]:
    """The boxes as COCO, with what was said as ``caption``."""
    names = [row.box.label or attributes_of(row.phrase).get("category", "object") for row in session.rows]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names), 1)}
    annotations = []
    for number, (row, name) in enumerate(zip(session.rows, names, strict=True), 1):
        x1, y1, x2, y2 = row.box.bbox
        entry = {
            "id": number, "image_id": 1, "category_id": numbers[name], "iscrowd": 0,
            "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
        }  # fmt: skip
        annotations.append(entry | ({"caption": row.phrase} if row.phrase else {}))
    return {
        "images": [{"id": 1, "file_name": image_name, "width": size[0], "height": size[1]}],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": annotations,
    }


def report(session: Session, title: str, picture: str) -> str:
    """The answers as Markdown, under the annotated picture."""
    said = [row.model for row in session.rows] + ([session.description.model] if session.description else [])
    models = " and ".join(f"`{model}`" for model in dict.fromkeys(said) if model)
    corrected = [f"region {number}" for number, row in enumerate(session.rows, 1) if row.phrase and not row.model]
    corrected += ["the whole image"] if session.description and not session.description.model else []
    by = f"Described by {models or 'a visitor'}."
    if models and corrected:
        by += f" Corrected: {', '.join(corrected)}."
    lines = [f"# {title}", "", f"![The boxes]({picture})", "", by, ""]
    if session.rows:
        lines += ["| # | box (x1, y1, x2, y2) | description | sure |", "| --- | --- | --- | --- |"]
        for number, row in enumerate(session.rows, 1):
            sure = "" if math.isnan(row.confidence) else f"{row.confidence:.0%}"
            phrase = " ".join(row.phrase.replace("|", "\\|").split())
            lines.append(f"| {number} | {', '.join(f'{edge:g}' for edge in row.box.bbox)} | {phrase} | {sure} |")
        lines.append("")
    if session.description is not None:
        lines += ["## The whole image", "", session.description.text, ""]
    return "\n".join(lines)


def write_exports(folder: Path, drawing: Drawing, session: Session) -> list[Path]:
    """Write all of it to a folder, with the image that the records are about.

    Raises:
        MgimmError: Nothing was described yet.
    """
    image = f"image-{drawing.digest[:8]}.png"  # so that the files of several images can lie together
    found = records(session, drawing.image.size, image)
    if not found:
        raise MgimmError("there is nothing to export yet: describe regions or the image first")
    drawing.image.save(folder / image)
    annotated(drawing).save(folder / "annotated.png")
    texts = {
        "records.json": json.dumps(found, ensure_ascii=False, indent=1),
        "coco.json": json.dumps(coco(session, drawing.image.size, image), ensure_ascii=False, indent=1),
        "report.md": report(session, Path(image).stem, "annotated.png"),
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return [folder / name for name in ("annotated.png", image, *texts)]


def correct(file: Path, drawing: Drawing, corrected: Row | Description, rows: Sequence[Row] = ()) -> dict[str, Any]:
    """Append a visitor's own words for a region or the image to a JSONL file of records, and the image beside it.

    Args:
        file: The file; its folder and the image folder ``images`` in it are made when they are not there.
        drawing: Has the image.
        corrected: With the right words.
        rows: What was said of the boxes that guide a description.

    Returns:
        The record.

    Raises:
        MgimmError: The words cannot be an answer.
    """
    image, record_id = f"images/{drawing.digest}.png", uuid.uuid4().hex[:12]
    if isinstance(corrected, Row):
        record = region_record(corrected, drawing.image.size, image, record_id)
    else:
        record = image_record(corrected, rows, drawing.image.size, image, record_id)
    (file.parent / "images").mkdir(parents=True, exist_ok=True)
    with _writing:
        if not (file.parent / image).exists():  # once, however much of it is corrected
            drawing.image.save(file.parent / image)
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    return record


def _region(row: Row) -> dict[str, Any]:
    region: dict[str, Any] = {"bbox": list(row.box.bbox)}
    if row.box.label:
        region["category"] = row.box.label
    if row.phrase:
        region["phrase"] = row.phrase
    return region


def _record(
    record_id: str, image: str, size: tuple[int, int], regions: list[dict[str, Any]], question: str, answer: str
) -> dict[str, Any]:
    record = {
        "id": record_id,
        "image": image,
        "width": size[0],
        "height": size[1],
        **({"regions": regions} if regions else {}),
        "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}],
    }
    parse_record(record)
    return record
