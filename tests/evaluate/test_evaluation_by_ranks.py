"""Several processes evaluate together: each record once, the same results, and little is lost by an interruption."""

import json
import threading
from pathlib import Path

import pytest
from torch.distributed import HashStore

from mgimm_plugin.errors import MgimmError
from mgimm_plugin.evaluate import evaluate
from mgimm_plugin.evaluate.ranks import Ranks
from tests.evaluate.evaluation_set import Answerer
from tests.train.launch import HANGS_AFTER, start

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "playground" / "examples"


def mgimm(argv):
    """What ``mgimm`` runs."""
    import sys

    from mgimm_plugin.cli import main

    sys.argv[1:] = argv
    main()


def start_evaluation(output, data, ranks):
    """Start an evaluation as mpirun and srun do: nobody ends the other processes when one has failed."""
    paths = ("--data", data, "--images", IMAGES, "--output", output)
    settings = ("--device", "cpu", "--batch-size", 4, "--max-new-tokens", 12)
    return start(["evaluate", *paths, *settings], output.with_suffix(".log"), ranks=ranks, main=mgimm)


def read_rows(output):
    return [json.loads(line) for line in (output / "predictions.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("examples") / "data.jsonl"
    file.write_text("\n".join((IMAGES / "examples.jsonl").read_text().splitlines()[:14]) + "\n")
    return file


@pytest.mark.slow
def test_two_ranks_give_the_results_of_one_and_go_on_where_any_number_stopped(data, tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    start_evaluation(alone, data, 1).wait()
    printed = start_evaluation(together, data, 2).wait()
    rows = read_rows(alone)
    assert len(rows) == 14
    assert read_rows(together) == rows
    assert [path.name for path in together.glob("predictions*")] == ["predictions.jsonl"]
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (alone, together)]
    assert metrics[0] == metrics[1]
    assert printed.count("records answered") == 1
    # As a run of four leaves it that is killed in the middle: parts by rank, the last line of one cut off.
    part = "".join(json.dumps(row) + "\n" for row in rows[9:12]) + '{"index": 12, "pre'
    (together / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:5]))
    (together / "predictions.rank-3.jsonl").write_text(part)
    start_evaluation(together, data, 2).wait()
    assert read_rows(together) == rows


@pytest.mark.parametrize("broken", [1, 6])
def test_a_record_that_cannot_be_asked_ends_all_ranks_and_is_named_once(data, tmp_path, broken):
    """The rank that fails may be the first, through which they keep in touch."""
    lines = [json.loads(line) for line in data.read_text().splitlines()]
    lines[broken] |= {"id": "broken", "image": "none.png"}
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = start_evaluation(tmp_path / "run", file, 2)
    for process in run.processes:
        process.join(HANGS_AFTER)
    printed = run.log.read_text()
    assert [process.exitcode for process in run.processes] == [1, 1], printed
    assert printed.count("record broken") == 1, printed
    assert ("has failed" in printed) != ("cannot be reached" in printed), printed
    assert "Traceback" not in printed


def one_is_killed(argv):
    """Rank 1 ends without a word as soon as it has joined; the other waits for it."""
    import os

    from mgimm_plugin.evaluate import ranks as module

    module._BEAT_S = 0.05
    try:
        with module.joined_ranks() as ranks:
            if not ranks.is_first:
                os._exit(9)
            ranks.wait()
    except MgimmError as error:
        print(error, flush=True)
        return 1


def test_a_rank_that_was_killed_is_noticed_by_those_that_wait(tmp_path):
    run = start([], tmp_path / "log", ranks=2, main=one_is_killed)
    for process in run.processes:
        process.join(HANGS_AFTER)
    printed = run.log.read_text()
    assert [process.exitcode for process in run.processes] == [1, 9], printed
    assert printed == "process 1 gives no sign of life (was it killed?), and this one stops with it\n"


def one_cannot_load(argv):
    import os

    return mgimm([*argv, *(["--model", "no/where"] if os.environ["RANK"] == "1" else [])])


def test_a_model_that_one_rank_cannot_load_ends_all(data, tmp_path):
    paths = ("--data", data, "--images", IMAGES, "--output", tmp_path / "run", "--device", "cpu")
    run = start(["evaluate", *paths], tmp_path / "log", ranks=2, main=one_cannot_load)
    for process in run.processes:
        process.join(HANGS_AFTER)
    printed = run.log.read_text()
    assert [process.exitcode for process in run.processes] == [1, 1], printed
    assert "no/where" in printed
    assert "process 1 has failed" in printed
    assert "Traceback" not in printed


def together(count, work):
    """Run ``work(ranks)`` for each of several ranks at once; returns what each returned or raised."""
    store, results = HashStore(), {}

    def one(rank):
        ranks = Ranks(rank, count, store)
        try:
            results[rank] = work(ranks)
        except (MgimmError, ZeroDivisionError) as error:
            ranks.give_up()
            results[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=HANGS_AFTER)
    return [results[rank] for rank in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_ranks_take_the_batches_of_a_single_process_without_gap_or_overlap(count):
    todo = list(range(3, 20))
    alone = list(Ranks().batches(todo, 4))
    assert [index for _, batch in alone for index in batch] == todo
    taken = together(count, lambda ranks: list(ranks.batches(todo, 4)))
    assert sorted(batch for batches in taken for batch in batches) == alone
    assert together(count, lambda ranks: list(ranks.batches([], 4))) == [[]] * count


def test_values_are_gathered_by_rank_call_after_call():
    def work(ranks):
        return [ranks.gather({"rank": ranks.rank, "call": call}) for call in range(3)]

    expected = [[{"rank": rank, "call": call} for rank in range(3)] for call in range(3)]
    assert together(3, work) == [expected] * 3


def test_a_rank_that_fails_ends_those_that_wait_for_it():
    def work(ranks):
        return ranks.rank / 0 if ranks.rank == 1 else ranks.gather(None)

    results = together(3, work)
    assert [type(result) for result in results] == [MgimmError, ZeroDivisionError, MgimmError]
    assert "process 1 has failed" in str(results[0])


def test_nodes_that_do_not_share_the_output_folder_are_told_so_before_the_work(tmp_path):
    from mgimm_plugin.evaluate.store import PredictionStore

    def work(ranks):
        return PredictionStore(tmp_path / str(ranks.rank), {}, {}, ranks=ranks)

    for error in together(2, work):
        assert "1 of 2 processes write here" in str(error)
        assert "that all nodes share" in str(error)


def test_answers_that_the_first_rank_does_not_see_are_missed(image_folder, region_data, tmp_path):
    """As with a network file system that does not show yet what another node has written."""
    others_part, second_answer = tmp_path / "out" / "predictions.rank-1.jsonl", threading.Event()

    class Losing(Answerer):
        def answer(self, questions, **options):
            if self.asked:
                others_part.unlink()
                second_answer.set()
            return super().answer(questions, **options)

    class Slow(Answerer):
        def answer(self, questions, **options):
            second_answer.wait(HANGS_AFTER)
            return super().answer(questions, **options)

    def work(ranks):
        answerer = Slow() if ranks.is_first else Losing()
        return evaluate(
            answerer, region_data, image_folder, tmp_path / "out", batch_size=1, progress=False, ranks=ranks
        )

    assert "records have no prediction" in str(together(2, work)[0])
