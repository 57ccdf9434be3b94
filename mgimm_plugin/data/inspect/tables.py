"""Statistics as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mgimm_plugin.data.measures import POSITIONS

_BAR = "█"
_BAR_WIDTH = 24
_SHOWN = 20
_SHOWN_VALUES = 6
_TEXT_WIDTH = 88


def statistics_table(statistics: Mapping[str, Any]) -> str:
    """Write statistics as a page of text of at most 100 columns; the argument is ``collect_statistics``'s result."""
    blocks = [_counts(statistics)]
    if statistics["objects"]["distinct"]:
        boxes = statistics["boxes"]
        blocks += [
            _bars("Size (side of the box over side of the image)", boxes["sizes"]),
            _positions(boxes["positions"]),
            _bars("Classes", statistics["categories"]),
            _attributes(statistics["attributes"]),
        ]
    blocks += [_lengths(statistics), _words(statistics["texts"]["answers"]), _repeated(statistics["texts"]["answers"])]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _counts(statistics: Mapping[str, Any]) -> list[str]:
    records, images, objects = (statistics[name] for name in ("records", "images", "objects"))
    formats = ", ".join(f"{count:,} {name}" for name, count in records["by_format"].items())
    rows = [
        ("records", records["good"], formats),
        ("  with regions", records["with_regions"], f"{records['without_regions']:,} without"),
    ]
    if records["bad"]:
        rows.append(("  not counted", records["bad"], "bad records: mgimm validate lists what is wrong"))
    rows.append(("images", images["distinct"], ""))
    if objects["distinct"]:
        per_image = images["objects_per_image"]["summary"]
        rows += [
            ("objects", objects["distinct"], f"distinct boxes; {_spread(per_image)} an image"),
            ("  with class", objects["with_category"], f"{len(statistics['categories']):,} classes"),
            ("  with phrase", objects["with_phrase"], ""),
            ("  with polygon", objects["with_polygon"], ""),
        ]
        side, pixels, aspect = (
            statistics["boxes"][name]["summary"] for name in ("relative_side", "side_in_pixels", "aspect_ratio")
        )
        rows.append(("  side, pixels", "", _spread(pixels)))
        if side["count"]:
            rows.append(("  side, of image", "", _spread({key: f"{100 * side[key]:.2g}%" for key in side})))
        rows.append(("  width : height", "", _spread(aspect)))
    return [f"{name:<18}{_number(count):>12}   {note}".rstrip() for name, count, note in rows]


def _spread(summary: Mapping[str, Any]) -> str:
    mean, median, least, most = (_number(summary[key]) for key in ("mean", "p50", "min", "max"))
    return f"mean {mean}, median {median}, {least} to {most}"


def _bars(title: str, counts: Mapping[str, int]) -> list[str]:
    total = sum(counts.values())
    if not total:
        return []
    most = max(counts.values())
    lines = [title]
    width = max(len(_cut(name, 30)) for name in counts)
    for name, count in list(counts.items())[:_SHOWN]:
        bar = _BAR * round(_BAR_WIDTH * count / most)
        lines.append(f"  {_cut(name, 30):<{width}}  {count:>10,}  {_percent(count, total):>6}  {bar}".rstrip())
    if len(counts) > _SHOWN:
        rest = sum(list(counts.values())[_SHOWN:])
        lines.append(f"  {len(counts) - _SHOWN} more: {rest:,} ({_percent(rest, total)})")
    return lines


def _positions(counts: Mapping[str, int]) -> list[str]:
    total = sum(counts.values())
    if not total:
        return []
    rows = ["".join(f"{_percent(counts[word], total):>9}" for word in row) for row in POSITIONS]
    return ["Position (middles of the boxes, by ninths of the image)", *rows]


def _attributes(attributes: Mapping[str, Mapping[str, int]]) -> list[str]:
    if not attributes:
        return []
    lines = ["Attributes"]
    width = max(len(_cut(name, 16)) for name in attributes)
    for name, values in attributes.items():
        total = sum(values.values())
        shown = [f"{_cut(value, 24)} {_percent(count, total)}" for value, count in list(values.items())[:_SHOWN_VALUES]]
        more = [f"{len(values) - _SHOWN_VALUES} more"] if len(values) > _SHOWN_VALUES else []
        lines.append(f"  {_cut(name, 16):<{width}}  {', '.join(shown + more)}")
    return lines


def _lengths(statistics: Mapping[str, Any]) -> list[str]:
    columns = ("", "count", "distinct", "mean", "median", "p95", "max", "vocabulary")
    rows: list[Sequence[Any]] = []
    for kind in ("questions", "answers"):
        texts = statistics["texts"][kind]
        for unit in ("words", "tokens"):
            if unit not in texts or not texts["count"]:
                continue
            of = texts[unit]["summary"]
            counts = (texts["count"], texts["distinct"]) if unit == "words" else ("", "")
            vocabulary = texts["vocabulary"] if unit == "words" else ""
            rows.append((f"{kind}, {unit}", *counts, of["mean"], of["p50"], of["p95"], of["max"], vocabulary))
    return ["Texts", *(_row(row) for row in (columns, *rows))]


def _row(cells: Iterable[Any]) -> str:
    name, *numbers = cells
    return (f"  {name:<18}" + "".join(f"{_number(number):>11}" for number in numbers)).rstrip()


def _words(answers: Mapping[str, Any]) -> list[str]:
    words = [f"{word} {count:,}" for word, count in list(answers["frequent_words"].items())[:_SHOWN]]
    return ["Frequent words of answers (without a, the, is, ...)", *_wrapped(words)] if words else []


def _repeated(answers: Mapping[str, Any]) -> list[str]:
    rows = answers["repeated"][:5]
    if not rows:
        return []
    return ["Answers given more than once", *(f"  {row['count']:>8,} x  {_cut(row['text'], 80)}" for row in rows)]


def _wrapped(words: Iterable[str]) -> list[str]:
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > _TEXT_WIDTH:
            lines.append("")
        lines[-1] += f" {word}," if lines[-1] else f"{word},"
    return [f"  {line}" for line in lines[:-1]] + [f"  {lines[-1].removesuffix(',')}"]


def _cut(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3].rstrip() + "..."


def _number(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.1f}%"
