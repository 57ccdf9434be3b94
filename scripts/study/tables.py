"""The results part of ``docs/benchmark.md``, from the result files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from mgimm_plugin.data.measures import SIZES
from mgimm_plugin.data.whole_files import write_whole
from mgimm_plugin.errors import MgimmError

from .comparisons import PRIMARY_OUTCOMES
from .outcomes import CAPTION_OUTCOMES, DENSITIES, OUTCOMES
from .plots import draw_plots
from .results import Result, Results, judge, spread
from .systems import (
    BLANK,
    MODES,
    NONE,
    ROW_GROUPS,
    SCALES,
    SHIFTED_MODES,
    SYSTEMS,
    TRUE,
)

PLANNED, EXPLORATORY = "results", "exploratory"
"""The places of a page that are written; what is tried afterwards must not take the place of what was planned."""
_CAVEATS = {
    "small": ["**This size shows that everything runs. It proves nothing about the systems.**"],
    "medium": ["**Not the study that was planned, but what a CPU can do of it:** see *Sizes* in the plan."],
}
MAIN_OUTCOMES = ("appearance_accuracy", "geometry_accuracy", "CIDEr", "hallucination_rate", "object_recall")
GROUPS = (*SIZES, *(text for _, text in DENSITIES))
DETAILS = ("category_accuracy", "color_accuracy", "shape_accuracy", "object_precision")


def write_results(folder: Path, page: Path, *, scale: str, is_exploratory: bool = False) -> None:
    """Write tables between the markers of a page, and plots into ``images/`` beside it.

    Args:
        folder: Result files.
        page: A page with the two markers of the place; made, with both places, where there is none.
        scale: Name of the size of the study.
        is_exploratory: Whether the scenes are fresh ones, for what was tried after the test.

    Raises:
        MgimmError: There are no result files, or the page has no place for results.
    """
    results = Results.read(folder, is_exploratory=is_exploratory)
    text, place = read_page(page, is_exploratory=is_exploratory)
    prefix = f"{page.stem}-{scale}{'-fresh' if is_exploratory else ''}"
    pictures = draw_plots(results, page.parent / "images", prefix=prefix)
    parts = [_head(results, scale), *_sections(results)]
    trials = folder.parent / "trials"
    if trials.is_dir() and not is_exploratory:
        parts.append("### Trials on validation\n\n" + trials_table(trials))
    parts += [f"![{title}](images/{name})" for title, name in pictures]
    page.parent.mkdir(parents=True, exist_ok=True)
    write_whole(page, between_markers(text, "\n\n".join(parts), page, place))


def read_page(page: Path, *, is_exploratory: bool) -> tuple[str, str]:
    """The text of a page and the place in it that results go to; a new page has both places.

    Raises:
        MgimmError: It is a folder, or has no such place.
    """
    place = EXPLORATORY if is_exploratory else PLANNED
    if page.is_dir():
        raise MgimmError(f"{page}: is a folder; --docs names a file")
    if page.exists():
        text = page.read_text(encoding="utf-8")
    else:
        text = "# Benchmark\n" + "".join("\n{}\n{}\n".format(*markers(each)) for each in (PLANNED, EXPLORATORY))
    between_markers(text, "", page, place)
    return text, place


def markers(place: str) -> tuple[str, str]:
    """The lines between which a place lies."""
    return f"<!-- {place}: begin -->", f"<!-- {place}: end -->"


def between_markers(text: str, content: str, page: Path, place: str) -> str:
    """The text with the content in place of what was between the markers.

    Raises:
        MgimmError: A marker is missing, there twice, or they are the wrong way round.
    """
    begin, end = markers(place)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise MgimmError(f"{page}: needs the lines {begin} and {end}, once each and in this order")
    return f"{text[: text.index(begin)]}{begin}\n{content}\n{text[text.index(end) :]}"


def _head(results: Results, scale: str) -> str:
    bases = sorted({f"`{result['tower']}` and `{result['llm']}`" for result in results.files})
    lines = [f"Scale `{scale}`; bases {'; '.join(bases)}; {len(results.files)} runs."]
    if results.is_exploratory:
        lines.append("**Exploratory**: judged on fresh scenes, after the test set had been seen.")
    lines += _CAVEATS.get(scale, [])
    if SCALES[scale].image_stage_alone_steps and "no_region_stage" in results.systems():
        lines.append("*No region stage* has as many FLOPs as the others, not as many examples.")
    missing = [name for name in ("CIDEr",) if not any(_has(result, name) for result in results.files)]
    lines += [f"Not computed: {name} (it needs Java); run the same command where Java is." for name in missing]
    return "\n".join(lines)


def _has(result: Result, outcome: str) -> bool:
    return any(outcome in asked["outcomes"] for asked in result["evaluations"])


def _sections(results: Results) -> Iterable[str]:
    yield "### Rows\n\nOn test scenes; mean ± standard deviation over seeds.\n\n" + rows_table(results)
    yield "### Attributes and objects\n\n" + details_table(results, DETAILS)
    about = "Of image descriptions, against five references; means over images, so BLEU-4 is that of each by itself."
    yield f"### Caption metrics\n\n{about}\n\n" + details_table(results, CAPTION_OUTCOMES)
    if comparisons := comparisons_table(results):
        yield f"### Comparisons\n\nFirst minus second.\n\n{comparisons}"
    yield "### What is shown at test time\n\n" + modes_table(results)
    if any(asked["style"] != "standard" for result in results.files for asked in result["evaluations"]):
        yield "### Shifted scenes\n\n" + shifted_table(results)
    yield "### By size and density\n\nOf regions, and number of objects in a scene.\n\n" + groups_table(results)
    for group, title in (("lora", "LoRA"), ("rim", "RIM, one seed: nothing is claimed")):
        if results.systems(group):
            about = (
                "Rows with the same seeds; MGIMM itself has r = 16, alpha = 256, 2 tokens, depth 2, Fourier scale 1."
            )
            yield f"### {title}\n\n{about}\n\n" + rows_table(results.matched(group), "headline", group)
    yield "### Runs\n\n" + runs_table(results)


def rows_table(results: Results, *groups: str) -> str:
    """Main outcomes of each row, with what it is shown: true boxes, or nothing where it was not taught to take them."""
    rows = []
    for name, files in results.systems(*(groups or ROW_GROUPS)).items():
        mode = _usual_mode(name)
        scores = [
            spread(results.seed_means(name, "standard", _mode_of(outcome, mode), outcome)) for outcome in MAIN_OUTCOMES
        ]
        rows.append([_title(name), mode, str(len(files)), *scores, *_cost(files)])
    if "multi_grained" in results.systems() and not groups:
        scores = [spread(results.seed_means("multi_grained", "standard", BLANK, outcome)) for outcome in MAIN_OUTCOMES]
        seeds = str(len(results.systems()["multi_grained"]))
        if any(score != spread([]) for score in scores):
            rows.append(["blank image, same boxes", BLANK, seeds, *scores, "", "", ""])
    headings = ["row", "shown", "seeds", *(OUTCOMES[name][1] for name in MAIN_OUTCOMES)]
    return markdown([*headings, "trained parameters", "examples", "PFLOPs"], rows)


def details_table(results: Results, outcomes: Sequence[str]) -> str:
    """More outcomes of each row, with what ``rows_table`` shows."""
    rows = []
    for name in results.systems(*ROW_GROUPS):
        mode = _usual_mode(name)
        means = (results.seed_means(name, "standard", _mode_of(outcome, mode), outcome) for outcome in outcomes)
        rows.append([_title(name), *map(spread, means)])
    return markdown(["row", *(OUTCOMES[name][1] for name in outcomes)], rows)


def _usual_mode(system: str) -> str:
    return TRUE if SYSTEMS[system].guided else NONE


def _mode_of(outcome: str, image_mode: str) -> str:
    return image_mode if OUTCOMES[outcome][0] == "image" else TRUE


def _cost(files: Sequence[Result]) -> list[str]:
    stages = files[0]["stages"].values()
    trained = max(stage["trained_parameters"] for stage in stages)
    examples = sum(stage["examples"] for stage in stages)
    return [f"{trained:,}", f"{examples:,}", f"{sum(stage['flops'] for stage in stages) / 1e15:.3g}"]


def comparisons_table(results: Results) -> str:
    """All comparisons; primary ones first, with Holm's p-value and the verdict of the plan's rule.

    Secondary ones of rows that were not run are named below the table. Where nothing can be compared there is no table.
    """
    rows, missing, known_rows = [], [], set(results.systems())
    tests = judge(results)
    if not any(judged.difference for judged in tests):
        return ""
    for judged in sorted(tests, key=lambda each: not each.comparison.primary):
        pair, known = judged.comparison, judged.difference
        if not pair.primary and not {pair.first, pair.second} <= known_rows:
            away = [name for name in (pair.first, pair.second) if name not in known_rows]
            missing += [name for name in away if SYSTEMS[name].group != "improved"]  # judged on fresh scenes alone
            continue
        names = f"{_title(pair.first)} ({pair.first_mode}) – {_title(pair.second)} ({pair.second_mode})"
        line = [pair.claim, names, OUTCOMES[judged.outcome][1]]
        if known is None:
            rows.append([*line, judged.verdict, "", "", "", ""])
            continue
        adjusted = "" if judged.adjusted is None else f"{judged.adjusted:.4f}"
        interval = f"{known.low:+.3f} to {known.high:+.3f}"
        rows.append([*line, f"{known.mean:+.3f}", interval, str(len(known.by_seed)), adjusted, judged.verdict])
    headings = ["about", "pair (shown)", "outcome", "difference", "95 % interval", "seeds", "Holm's p", "verdict"]
    not_run = ", ".join(_title(name) for name in dict.fromkeys(missing))
    return markdown(headings, rows) + (f"\n\nNot run, and not compared: {not_run}." if missing else "")


def _title(system: str) -> str:
    return SYSTEMS[system].title


def modes_table(results: Results) -> str:
    """Rows by what they are shown, on standard scenes."""
    rows = []
    for name in results.systems(*ROW_GROUPS):
        for mode in MODES["image"]:
            scores = [spread(results.seed_means(name, "standard", mode, outcome)) for outcome in MAIN_OUTCOMES]
            if any(score != spread([]) for score in scores):
                rows.append([_title(name), mode, *scores])
    return markdown(["row", "shown", *(OUTCOMES[name][1] for name in MAIN_OUTCOMES)], rows)


def shifted_table(results: Results) -> str:
    """Rows by style of the scenes, a table for each primary outcome; of seeds that were asked about every style."""
    styles = dict.fromkeys(asked["style"] for result in results.files for asked in result["evaluations"])
    tables = []
    for outcome in PRIMARY_OUTCOMES:
        rows = []
        modes = SHIFTED_MODES if OUTCOMES[outcome][0] == "image" else (TRUE,)
        for name, mode in ((name, mode) for name in results.systems(*ROW_GROUPS) for mode in modes):
            by_style = [results.values(name, style, mode, outcome) for style in styles]
            if seeds := set.intersection(*map(set, by_style)):
                means = [[fmean(found[seed].values()) for seed in sorted(seeds)] for found in by_style]
                rows.append([_title(name), mode, str(len(seeds)), *map(spread, means)])
        tables.append(markdown([OUTCOMES[outcome][1], "shown", "seeds", *styles], rows))
    return "\n\n".join(tables)


def groups_table(results: Results) -> str:
    """Outcomes by size of a region and by number of objects in a scene, a table for each."""
    tables = []
    for outcome in PRIMARY_OUTCOMES:
        means = {
            name: results.group_means(name, _mode_of(outcome, _usual_mode(name)), outcome)
            for name in results.systems(*ROW_GROUPS)
        }
        groups = [group for group in GROUPS if any(group in found for found in means.values())]
        rows = [
            [_title(name), *(f"{found[group]:.3f}" if group in found else "–" for group in groups)]
            for name, found in means.items()
            if found
        ]
        tables.append(markdown([OUTCOMES[outcome][1], *groups], rows))
    return "\n\n".join(tables)


def runs_table(results: Results) -> str:
    """Every run with its seed, its commit, and what it took."""
    rows = []
    for result in results.files:
        stages = result["stages"].values()
        seconds = sum(stage["seconds"] for stage in stages)
        note = "resumed: seconds of the last part" if any(stage["is_resumed"] for stage in stages) else ""
        commits = ", ".join(dict.fromkeys([*(stage["commit"] for stage in stages), *result["commits"]]))
        rows.append(
            [
                _title(result["system"]),
                str(result["seed"]),
                f"{result['rate_factor']:.3g}",
                f"{seconds:.0f}",
                commits,
                note,
            ]
        )
    return markdown(["row", "seed", "rate factor", "seconds of training", "commit", ""], rows)


def trials_table(folder: Path) -> str:
    """All trials on validation."""
    trials = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    rows = [[_title(each["system"]), f"{each['rate_factor']:.3g}", f"{each['score']:.4f}"] for each in trials]
    return markdown(["row", "rate factor", "score on validation"], rows)


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
