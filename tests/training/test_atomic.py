"""Files are replaced whole or not at all, and a write that fails leaves no temporary file behind."""

import errno
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

from training.atomic import replace_file, write_atomic
from training.errors import TrainingError
from training.runs.directory import replace_table


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_made_and_replaced_and_nothing_else_is_left(tmp_path, sync):
    for content in (b"first", b"second", b""):
        write_atomic(tmp_path / "x.json", content, sync=sync)
        assert files_in(tmp_path) == {"x.json": content}


def test_readers_see_the_old_content_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"old")
    with replace_file(path) as temporary:
        temporary.write_bytes(b"half")
        assert path.read_bytes() == b"old"
        assert temporary.parent == path.parent  # a rename from another disk would copy
    assert path.read_bytes() == b"half"


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("x"), KeyboardInterrupt()]
)
def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path, error, written):
    path = tmp_path / "x.csv"
    path.write_bytes(b"old")

    def write():
        with replace_file(path) as temporary:
            if written:
                temporary.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)) as raised:
        write()
    assert raised.value is error
    assert files_in(tmp_path) == {"x.csv": b"old"}


@pytest.mark.parametrize("sync", [False, True])
def test_a_rename_that_fails_leaves_no_temporary_file(tmp_path, sync):
    (tmp_path / "x.csv" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match=r"x\.csv"):
        write_atomic(tmp_path / "x.csv", b"new", sync=sync)
    assert files_in(tmp_path) == {}


def test_a_folder_that_is_not_there_is_the_error_that_is_raised(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "nowhere" / "x", b"new")
    with pytest.raises(NotADirectoryError):
        write_atomic(tmp_path / "file" / "x", b"new")


def test_a_table_that_cannot_be_written_is_an_error_in_one_sentence_and_leaves_nothing(tmp_path):
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(TrainingError, match=r"x\.csv: cannot be written \(Is a directory\)"):
        replace_table(pd.DataFrame({"file": ["a.png"]}), tmp_path / "x.csv")
    assert files_in(tmp_path) == {}
    with pytest.raises(TrainingError, match=r"x\.csv: cannot be written \(.*non-existent directory"):
        replace_table(pd.DataFrame({"file": ["a.png"]}), tmp_path / "nowhere" / "x.csv")


WRITER = """
import signal, sys
from pathlib import Path
from training.atomic import replace_file
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
with replace_file(Path(sys.argv[1])) as temporary, temporary.open("wb") as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_while_it_writes_leaves_the_old_file_whole(tmp_path, sent):
    path = tmp_path / "x.csv"
    path.write_bytes(b"old")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", WRITER, path], **pipes) as process:
        assert process.stdout.readline() == b"writing\n"
        os.kill(process.pid, sent)
        assert process.wait(60) != 0
    assert path.read_bytes() == b"old"
    if sent == signal.SIGINT:  # nobody can tidy up after SIGKILL
        assert files_in(tmp_path) == {"x.csv": b"old"}
