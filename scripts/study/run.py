"""Run the study: scenes, trials on validation, trainings, evaluations, tables. Every part that is done is left alone.

    python -m scripts.study.run --scale full --jobs 4
    python -m scripts.study.run --scale full --only multi_grained --seeds 0 1

On several machines that share the folder, give each seeds of its own (``--seeds``), and start all but the first when
its scenes are drawn and its trials done. Not rows of its own (``--only``): rows of a seed share a region stage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from mgimm_plugin.data.cores import available_cores
from mgimm_plugin.errors import MgimmError
from mgimm_plugin.evaluate.captions import unavailable_reason
from mgimm_plugin.model.config import read_config_dict
from mgimm_plugin.model.fingerprint import model_identity
from mgimm_plugin.model.paths import resolve_folder

from .data import TRAIN, VALIDATION, SceneSet, asked_sets, draw
from .jobs import ROOT, Study, ask, commit, train, train_all, write_json
from .outcomes import CAPTION_OUTCOMES
from .recipes import Bases, stage_names
from .systems import MODES, SCALES, SYSTEMS, Scale, System
from .tables import read_page, write_results
from .trials import TRIAL_SEED, chosen_factor, trial, trial_file

Key = tuple[str, str, str]
"""Set of scenes, task, mode."""
_NOTHING: Final[dict[str, Any]] = {"commits": [], "evaluations": []}


def run_seed(study: Study, system: System, seed: int, sets: list[SceneSet], results: Path) -> None:
    """Train one seed of a system, ask it everything, and write its result file.

    What a file has from before stays in it; what is missing is added: modes that were not asked, and caption scores
    that were not possible then. But a file is of one training: after another one, all that it has is asked again.
    """
    file, before = _result_before(results, system, seed)
    factor = chosen_factor(study, system)
    stages = train_all(study, system, seed, factor)
    for stage in stages.values():
        del stage["flags"]  # they name folders of this machine
    wanted = _wanted(study, system, sets)
    if file.is_file() and before["stages"] != stages:
        print(f"{file}: is of another training than the checkpoint; everything in it is asked again", file=sys.stderr)
        by_name = {scenes.name: scenes for scenes in sets}
        wanted = {key: by_name[key[0]] for key in _by_key(before)} | wanted
        before = _NOTHING
    asked = _by_key(before)
    for (name, task, mode), scenes in wanted.items():
        found = ask(study, system, seed, factor, scenes, task, mode)
        asked[name, task, mode] = {"set": name, "style": scenes.style, "task": task, "mode": mode, **found}
    head = {"system": system.name, "seed": seed, "rate_factor": factor}
    bases = {name: Path(base).name if Path(base).is_dir() else base for name, base in asdict(study.bases).items()}
    commits = list(dict.fromkeys([*before["commits"], commit()]))
    write_json(file, {**head, **bases, "commits": commits, "stages": stages, "evaluations": list(asked.values())})


def is_done(study: Study, system: System, seed: int, sets: list[SceneSet], results: Path) -> bool:
    """Whether its result file has all that is wanted. It is then left alone, also where no checkpoint is left."""
    asked = _by_key(_result_before(results, system, seed)[1])
    return all(key in asked and _is_scored(asked[key]) for key in _wanted(study, system, sets))


def _result_before(results: Path, system: System, seed: int) -> tuple[Path, dict[str, Any]]:
    file = results / f"{system.name}-seed{seed}.json"
    return file, json.loads(file.read_text()) if file.is_file() else _NOTHING


def _by_key(result: dict[str, Any]) -> dict[Key, dict[str, Any]]:
    return {(each["set"], each["task"], each["mode"]): each for each in result["evaluations"]}


def _wanted(study: Study, system: System, sets: list[SceneSet]) -> dict[Key, SceneSet]:
    return {
        (scenes.name, task, mode): scenes
        for scenes in sets
        for task, modes in system.modes.items()
        for mode in modes
        if study.scale.asks(system, mode, is_shifted=scenes.style != "standard")
    }


def _is_scored(evaluation: dict[str, Any]) -> bool:
    has_captions = set(CAPTION_OUTCOMES) <= set(evaluation["outcomes"])
    return evaluation["task"] != "image" or has_captions or unavailable_reason() is not None


def run_study(study: Study, systems: list[System], seeds: Iterable[int], *, jobs: int, fresh: int) -> Path:
    """Everything, in the order of what depends on what; returns the folder of result files.

    Raises:
        MgimmError: The folder is of another study, or an exploratory row is asked about the scenes of the plan.
    """
    seeds = list(seeds)
    if not fresh and (improved := [system.name for system in systems if system.group == "improved"]):
        raise MgimmError(f"{', '.join(improved)}: tried after the test; it is judged on fresh scenes, add --fresh 1")
    check_same_study(study)
    has_choice = len(study.scale.rate_factors) > 1
    sets = asked_sets(study.scale, fresh)
    draw([TRAIN, *([VALIDATION] if has_choice else []), *sets], study.scale, study.data)
    results = results_folder(study, fresh)
    if has_choice:
        tried = [system for system in systems if system.own_trials]
        plan = [
            (system, TRIAL_SEED, factor)
            for system in tried
            for factor in study.scale.rate_factors
            if not trial_file(study, system, factor).is_file()
        ]
        _train_shared(study, plan, jobs)
        _all(jobs, [lambda s=system, f=factor: trial(study, s, f) for system, _, factor in plan])  # type: ignore[misc]
    runs = [(system, seed) for system in systems for seed in seeds if seed in study.scale.seeds_of(system)]
    runs = [run for run in runs if not is_done(study, *run, sets, results)]
    _train_shared(study, [(system, seed, chosen_factor(study, system)) for system, seed in runs], jobs)
    _all(jobs, [lambda s=system, k=seed: run_seed(study, s, k, sets, results) for system, seed in runs])  # type: ignore[misc]
    return results


def check_named(
    scale: Scale, only: Sequence[str] | None, seeds: Sequence[int] | None, modes: Sequence[str] | None
) -> None:
    """What was named has to be there: it would be left out without a word.

    Args:
        scale: The size of the study.
        only: Rows, each with all the seeds and asked in one of the modes; None for those of the size, where some row
            must have a seed.
        seeds: Seeds; None for all that there are.
        modes: What is shown at test time; None for all that a row is asked with.

    Raises:
        MgimmError: A row has no such seed, or is asked in none of the modes.
    """
    wrong = []
    if not only:
        there = {seed for system in scale.systems() for seed in scale.seeds_of(system)}
        wrong += [f"no row has seed {seed}" for seed in seeds or () if seed not in there]
    for system in (SYSTEMS[name] for name in only or ()):
        own = scale.seeds_of(system)
        wrong += [f"{system.name} has seeds below {own.stop}, not {seed}" for seed in seeds or () if seed not in own]
        asked = {mode for some in system.modes.values() for mode in some}
        if modes and asked.isdisjoint(modes):
            wrong.append(f"{system.name} is asked with {', '.join(sorted(asked))}, not with {', '.join(modes)}")
    if wrong:
        raise MgimmError(f"at this --scale {'; '.join(wrong)}")


def check_same_study(study: Study) -> None:
    """A folder belongs to one pair of bases and one size: results of several must not be mixed.

    Raises:
        MgimmError: The folder has parts of another study, or a base is neither a model's folder nor on the Hub.
    """
    file = study.folder / "study.json"
    bases = asdict(study.bases)
    for base in bases.values():
        read_config_dict(base)
    identity = {name: model_identity(base) for name, base in bases.items()}
    identity["scale"] = study.scale.training
    if not file.is_file():
        write_json(file, identity)
        return
    before = json.loads(file.read_text())
    other = [name for name, value in identity.items() if before.get(name) != value]
    if other:
        raise MgimmError(f"{study.folder}: has parts of a study with another {', '.join(other)}; name another --output")


def results_folder(study: Study, fresh: int) -> Path:
    """Where the result files lie, of the plan's scenes or of the N-th fresh ones."""
    return study.folder / (f"results-fresh-{fresh}" if fresh else "results")


def _train_shared(study: Study, plan: list[tuple[System, int, float]], jobs: int) -> None:
    """Region stages first, each once: several systems go on from the same."""
    distinct = {
        study.stage_folder(system, "region", seed, factor): (system, seed, factor)
        for system, seed, factor in plan
        if "region" in stage_names(system)
    }
    _all(jobs, [lambda a=args: train(study, a[0], "region", a[1], a[2]) for args in distinct.values()])  # type: ignore[misc]


def _all(jobs: int, calls: list[Callable[[], Any]]) -> None:
    """Make all calls, several at once; the work is done in processes that they start."""
    with ThreadPoolExecutor(jobs) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()


def _from(least: int) -> Callable[[str], int]:
    """A type of flags: whole numbers from one on."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run, and write the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    playground = ROOT / "playground"
    parser.add_argument("--scale", choices=tuple(SCALES), default="small")
    parser.add_argument("--llm", default=str(playground / "mini-llama"), help="language model: folder or Hub id")
    parser.add_argument("--tower", default=str(playground / "mini-clip"), help="vision tower: folder or Hub id")
    parser.add_argument("--output", type=Path, help="folder of the study; by default runs/study-SCALE")
    parser.add_argument("--only", nargs="+", choices=tuple(SYSTEMS), metavar="SYSTEM", help=", ".join(SYSTEMS))
    parser.add_argument("--seeds", nargs="+", type=int, help="some of the seeds, from 0")
    parser.add_argument("--modes", nargs="+", choices=MODES["image"], help="some of what is shown at test time")
    parser.add_argument("--jobs", type=_from(1), default=2, help="trainings and evaluations at once, a GPU each")
    parser.add_argument("--fresh", type=_from(0), default=0, help="N > 0: exploratory, on the N-th fresh test set")
    parser.add_argument("--docs", type=Path, help="file whose results part is written, with images/ beside it")
    parser.add_argument("--tables", action="store_true", help="write tables of the result files; nothing is run")
    options = parser.parse_args(argv)
    # Jobs with more threads than cores between them wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // options.jobs)))
    scale = SCALES[options.scale]
    scale = replace(scale, modes=tuple(options.modes or scale.modes))
    seeds = options.seeds or range(scale.most_seeds)
    folder = (options.output or ROOT / "runs" / f"study-{options.scale}").resolve()
    study = Study(scale, Bases(resolve_folder(options.llm), resolve_folder(options.tower)), folder)
    systems = [SYSTEMS[name] for name in options.only] if options.only else scale.systems()
    page = options.docs or folder / "benchmark.md"
    try:
        check_named(scale, options.only, options.seeds, options.modes)
        read_page(page, is_exploratory=options.fresh > 0)  # a page without a place is said now, not after hours
        if options.tables:
            results = results_folder(study, options.fresh)
        else:
            results = run_study(study, systems, seeds, jobs=options.jobs, fresh=options.fresh)
        write_results(results, page, scale=options.scale, is_exploratory=options.fresh > 0)
    except MgimmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"result files: {results}\ntables: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
