"""Processes find out whether they see one folder."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from mgimm_plugin.data.shared_folder import check_shared
from mgimm_plugin.errors import MgimmError


def check(folders):
    """One thread for each process, with the folder that it sees; returns what each has to say."""
    together = Barrier(len(folders), timeout=60)

    def process(rank):
        try:
            check_shared(folders[rank], rank, len(folders), together.wait)
        except MgimmError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(len(folders)) as pool:
        return list(pool.map(process, range(len(folders))))


def test_processes_that_see_one_folder_may_work_and_leave_nothing_in_it(tmp_path):
    assert check([tmp_path / "run"] * 3) == [None] * 3
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("left", [(), (".rank-0", ".rank-1", ".rank-2", ".rank-3")])
def test_nodes_with_a_folder_each_are_told_so_whatever_a_killed_run_left_there(tmp_path, left):
    nodes = [tmp_path / "one", tmp_path / "two"]
    for node in nodes:
        node.mkdir()
        for name in left:
            (node / name).touch()
    said = check([nodes[0], nodes[0], nodes[1]])
    assert [text.partition(":")[0] for text in said] == [str(nodes[0]), str(nodes[0]), str(nodes[1])]
    assert "2 of 3 processes write here" in said[0]
    assert "1 of 3 processes write here" in said[2]
    assert not list(nodes[0].iterdir())


def test_a_single_process_leaves_its_folder_alone(tmp_path):
    check_shared(tmp_path / "run", 0, 1, wait=None)
    assert not (tmp_path / "run").exists()
