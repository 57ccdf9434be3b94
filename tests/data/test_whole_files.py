"""A file is there completely or not at all, however many write it and however they end."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from mgimm_plugin.data.feature_store import CachedImage, write_shard
from mgimm_plugin.data.whole_files import write_whole, written_whole
from mgimm_plugin.errors import MgimmError

KILLED = """
import os, signal, sys
from mgimm_plugin.data.whole_files import written_whole
with written_whole(sys.argv[1]) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_is_what_it_was_until_the_new_one_is_whole(tmp_path):
    file = tmp_path / "a.txt"
    write_whole(file, "before")
    with written_whole(file) as partial:
        partial.write_text("after")
        assert file.read_text() == "before"
    assert file.read_text() == "after"
    assert list(tmp_path.iterdir()) == [file]


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    file = tmp_path / "a.txt"
    with written_whole(file) as first, written_whole(file) as second:
        first.write_text("first")
        second.write_text("second, longer")
    assert file.read_text() == "first"  # its context ended last
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_cannot_be_finished_leaves_nothing(tmp_path, error):
    file = tmp_path / "a.txt"
    write_whole(file, "before")

    def write_half():
        with written_whole(file) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_shard_that_cannot_take_its_place_is_an_error_and_leaves_nothing(tmp_path):
    images = [CachedImage(b"digest", torch.zeros(4, 3), (8, 6))]
    path = write_shard(tmp_path, "a tower", images)
    path.unlink()
    path.mkdir()
    with pytest.raises(MgimmError, match=r"\.safetensors: cannot be written"):
        write_shard(tmp_path, "a tower", images)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_goes_with_the_next_file_of_the_folder_once_it_is_old(tmp_path):
    file, other = tmp_path / "a.txt", tmp_path / "b.txt"
    users_own = tmp_path / ".mine.partial"
    users_own.touch()
    os.utime(users_own, (0, 0))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file)])
    assert killed.returncode == -signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - {users_own}
    write_whole(other, "whole")
    assert set(tmp_path.iterdir()) == {left, other, users_own}  # it might still be written
    os.utime(left, (0, 0))
    write_whole(other, "whole")
    assert set(tmp_path.iterdir()) == {other, users_own}
