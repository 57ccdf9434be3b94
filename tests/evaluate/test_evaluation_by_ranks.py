"""Several processes evaluate together: each record once, the same results, and little is lost by an interruption."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mgimm_plugin.evaluate.ranks import Ranks

ROOT = Path(__file__).resolve().parents[2]


def evaluate(output, data, images, ranks):
    command = ["-m", "mgimm_plugin", "evaluate", "--data", str(data), "--images", str(images), "--output", str(output)]
    launcher = [] if ranks == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    options = ["--device", "cpu", "--batch-size", "4", "--max-new-tokens", "12"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'patches'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launcher, *command, *options], env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (output / "predictions.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_ranks_give_the_results_of_one_and_go_on_where_they_stopped(tmp_path):
    examples = ROOT / "playground" / "examples"
    lines = (examples / "examples.jsonl").read_text().splitlines()[:14]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(lines) + "\n")
    alone = evaluate(tmp_path / "one", data, examples, 1)
    together = evaluate(tmp_path / "two", data, examples, 2)
    assert together == alone
    assert [path.name for path in (tmp_path / "two").glob("predictions*")] == ["predictions.jsonl"]
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")]
    assert metrics[0] == metrics[1]
    # As a run leaves it that is killed in the middle: parts by rank, the last line of one cut off.
    part = "\n".join(json.dumps(row) for row in alone[9:12]) + '\n{"index": 12, "pre'
    (tmp_path / "two" / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in alone[:5]))
    (tmp_path / "two" / "predictions.rank-1.jsonl").write_text(part)
    assert evaluate(tmp_path / "two", data, examples, 2) == alone


def test_ranks_share_the_work_without_gap_or_overlap():
    todo = list(range(3, 20))
    for count in (1, 2, 3, 20):
        shares = [Ranks(rank, count).share(todo) for rank in range(count)]
        assert [index for share in shares for index in share] == todo
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
