"""The contact sheet as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageColor, ImageDraw, ImageFont

from mgimm_plugin.data.inspect.contact_sheet import Mark, Tile, place_tags, tag_scale
from mgimm_plugin.data.whole_files import written_whole
from mgimm_plugin.data.wording import counted
from mgimm_plugin.errors import MissingExtraError

TILE_WIDTH: Final = 420
_GAP, _MARGIN, _PAD = 24, 40, 14
_PAGE, _CARD, _INK, _SOFT, _LINE, _GRAY = "#f3f4f1", "#ffffff", "#1b2420", "#5c6863", "#dfe3de", "#c9cecb"
_MOST_COLUMNS = 4
_SHOWN_MARKS, _SHOWN_LINES = 10, 12
_TAG_HEIGHT: Final = 18

Font = ImageFont.FreeTypeFont


class _Fonts:
    """The typefaces that matplotlib brings: they know more scripts than Pillow's own."""

    def __init__(self) -> None:
        try:
            import matplotlib
        except ImportError as error:
            raise MissingExtraError("matplotlib", "data", "the contact sheet") from error
        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        self.text = ImageFont.truetype(str(folder / "DejaVuSans.ttf"), 14)
        self.small = ImageFont.truetype(str(folder / "DejaVuSans.ttf"), 12)
        self.title = ImageFont.truetype(str(folder / "DejaVuSans-Bold.ttf"), 28)
        self.numbers = {size: ImageFont.truetype(str(folder / "DejaVuSans-Bold.ttf"), size) for size in range(6, 14)}


def draw_sheet(tiles: Sequence[Tile], path: str | Path, *, title: str, subtitle: str) -> None:
    """Draw tiles in columns of one width and save them as PNG.

    Args:
        tiles: With their pictures.
        path: The PNG file; it is there completely or not at all.
        title: Heading.
        subtitle: Line below it.

    Raises:
        MissingExtraError: matplotlib, whose typefaces are used, is not installed.
    """
    fonts = _Fonts()
    cards = [_card(tile, fonts) for tile in tiles]
    columns = min(_MOST_COLUMNS, len(cards))
    heights = [0] * columns
    places = []
    for card in cards:
        column = heights.index(min(heights))
        places.append((_MARGIN + column * (TILE_WIDTH + _GAP), heights[column]))
        heights[column] += card.height + _GAP
    head = _MARGIN + 86
    width = max(2 * _MARGIN + columns * (TILE_WIDTH + _GAP) - _GAP, 2 * _MARGIN + TILE_WIDTH)
    sheet = Image.new("RGB", (width, head + max(heights, default=0) + _MARGIN - _GAP), _PAGE)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), _fit(title, fonts.title, width - 2 * _MARGIN), font=fonts.title, fill=_INK)
    draw.text((_MARGIN, _MARGIN + 44), _fit(subtitle, fonts.text, width - 2 * _MARGIN), font=fonts.text, fill=_SOFT)
    for card, (x, y) in zip(cards, places, strict=True):
        sheet.paste(card, (x, head + y))
    with written_whole(path) as partial:
        sheet.save(partial, "PNG", optimize=True)


def _card(tile: Tile, fonts: _Fonts) -> Image.Image:
    """One tile: the picture, and below it phrases, questions and answers."""
    picture = None if tile.path is None else _picture(tile, fonts)
    lines = _lines(tile, fonts)
    top = 0 if picture is None else picture.height
    card = Image.new("RGB", (TILE_WIDTH, top + 2 * _PAD + sum(line.height for line in lines)), _CARD)
    if picture is not None:
        card.paste(picture, (0, 0))
    draw = ImageDraw.Draw(card)
    y = top + _PAD
    for line in lines:
        line.draw(draw, y)
        y += line.height
    draw.rectangle((0, 0, card.width - 1, card.height - 1), outline=_LINE)
    return card


def _picture(tile: Tile, fonts: _Fonts) -> Image.Image:
    """The image with its boxes, as wide as the tile and no higher than that."""
    width, height = tile.size
    scale = min(TILE_WIDTH / width, TILE_WIDTH / height)
    shown = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = Image.new("RGB", (TILE_WIDTH, shown[1]), _GRAY)
    left = (TILE_WIDTH - shown[0]) // 2
    if tile.picture is not None:
        canvas.paste(tile.picture.resize(shown, Image.Resampling.LANCZOS), (left, 0))
    draw = ImageDraw.Draw(canvas)

    def at(x: float, y: float) -> tuple[float, float]:
        # Beyond the canvas nothing is seen, and Pillow does not take any number.
        return (min(max(left + x * scale, -9.0), canvas.width + 9.0), min(max(y * scale, -9.0), canvas.height + 9.0))

    scale_of_tags = tag_scale(tile.marks)
    for color, thick in (("#000000", 4 if scale_of_tags > 0.7 else 3), (None, 2)):
        for mark in tile.marks:
            x1, y1, x2, y2 = mark.region.bbox
            corners = [at(x1, y1), at(x2, y1), at(x2, y2), at(x1, y2)]
            _outline(draw, corners, color or mark.color, thick if mark.region.polygon is None else thick - 1)
            if mark.region.polygon is not None:
                _outline(draw, [at(x, y) for x, y in mark.region.polygon], color or mark.color, thick)
    tag = scale_of_tags * _TAG_HEIGHT
    for mark, place in zip(tile.marks, place_tags(tile.marks, tile.size, tag / scale), strict=True):
        if place is not None:
            _tag(draw, mark, at(place[0], place[1]), (place[2] * scale, tag), fonts)
    return canvas


def _outline(draw: ImageDraw.ImageDraw, corners: Sequence[tuple[float, float]], color: str, width: int) -> None:
    draw.line([*corners, corners[0], corners[1]], fill=color, width=width, joint="curve")


def _tag(
    draw: ImageDraw.ImageDraw, mark: Mark, at: tuple[float, float], size: tuple[float, float], fonts: _Fonts
) -> None:
    """A number in the color of its box, dark on light or light on dark, with a rim for grounds of any color."""
    x, y, right, bottom = *at, at[0] + size[0], at[1] + size[1]
    draw.rectangle((x, y, right, bottom), fill=mark.color, outline="#000000")
    font = fonts.numbers[round(0.72 * size[1])]
    draw.text(
        ((x + right) / 2, (y + bottom) / 2 + 0.5), str(mark.number), font=font, fill=ink_on(mark.color), anchor="mm"
    )


def ink_on(color: str) -> str:
    """Black or white, whichever is easier to read on a color ``#rrggbb``."""
    red, green, blue = ((value / 255) ** 2.2 for value in ImageColor.getrgb(color)[:3])
    # Relative luminance; at 0.18 black and white have the same contrast.
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "#ffffff"


class _Line:
    """A line of text below a picture, with the number of a region before it where ``mark`` is given."""

    def __init__(
        self, text: str, font: Font, color: str, height: int, mark: Mark | None, fonts: _Fonts, indent: int
    ) -> None:
        self.text, self.font, self.color, self.height = text, font, color, height
        self.mark, self.fonts, self.indent = mark, fonts, indent

    def draw(self, draw: ImageDraw.ImageDraw, y: float) -> None:
        """Draw it ``y`` pixels from the top of the card."""
        if self.mark is not None:
            _tag(
                draw,
                self.mark,
                (_PAD, y),
                (_TAG_HEIGHT * (0.45 + 0.55 * len(str(self.mark.number))), _TAG_HEIGHT),
                self.fonts,
            )
        draw.text((_PAD + self.indent, y + 1), self.text, font=self.font, fill=self.color)


def _lines(tile: Tile, fonts: _Fonts) -> list[_Line]:
    """All lines below a picture, cut where they would be too many."""
    lines: list[_Line] = []

    def add(
        text: str, font: Font, color: str, mark: Mark | None = None, most: int = _SHOWN_LINES, after: int = 0
    ) -> None:
        indent = 0 if mark is None else 26 if mark.number < 10 else 36
        rows = _wrap(text, font, TILE_WIDTH - 2 * _PAD - indent) or [""]
        if len(rows) > most:
            rows = [*rows[: most - 1], _fit(rows[most - 1] + " …", font, TILE_WIDTH - 2 * _PAD - indent)]
        height = 21 if font is fonts.text else 18
        for number, row in enumerate(rows):
            last = number == len(rows) - 1
            lines.append(_Line(row, font, color, height + after * last, None if number else mark, fonts, indent))

    add(tile.title, fonts.small, _SOFT, most=2, after=4)
    if tile.reason is not None:
        add(tile.reason, fonts.small, _INK, most=6, after=4)
    for mark in tile.marks[:_SHOWN_MARKS]:
        add(mark.label or "(no phrase, no class)", fonts.text, _INK, mark, most=3, after=2)
    if len(tile.marks) > _SHOWN_MARKS:
        add(f"and {counted(len(tile.marks) - _SHOWN_MARKS, 'more region')}", fonts.small, _SOFT, after=2)
    shown = tile.said[:4]
    for said in shown:
        numbers = ", ".join(str(mark.number) for mark in said.marks)
        question = f"{numbers}: {said.question}" if numbers else said.question
        lines[-1].height += 8
        add(question or "(no question)", fonts.small, _SOFT, most=4, after=1)
        add(said.answer or "(no answer)", fonts.text, _INK)
    if len(tile.said) > len(shown):
        add(f"and {counted(len(tile.said) - len(shown), 'more question')}", fonts.small, _SOFT)
    return lines


def _wrap(text: str, font: Font, width: float) -> list[str]:
    """Break a text into lines of at most ``width`` pixels, within a word where it must be."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        while font.getlength(word) > width:
            part = next(end for end in range(len(word) - 1, 0, -1) if end == 1 or font.getlength(word[:end]) <= width)
            lines.append(word[:part])
            word = word[part:]
        lines.append(word)
    return lines


def _fit(text: str, font: Font, width: float) -> str:
    """Cut a text to ``width`` pixels."""
    if font.getlength(text) <= width:
        return text
    text = text.removesuffix(" …")
    while text and font.getlength(f"{text} …") > width:
        text = text[:-1].rstrip()
    return f"{text} …"
