"""When the files of an embedded server are put out of its way, and when they are not."""

import re
from pathlib import Path

import pytest

from storelog.local.files import Files
from storelog.local.mongodb import UNREADABLE

DAMAGED = (
    'File "secantus/storage.py", line 4422, in _cursor\n'
    "    c = self._tls.session.open_cursor(table, None, cfg)\n"
    "_wiredtiger.WiredTigerError: Invalid argument\n"
)
OTHER = (
    "",
    "OSError: [Errno 98] Address already in use",
    DAMAGED.replace("Invalid argument", "Device or resource busy"),
    DAMAGED.replace("Invalid argument", "No space left on device"),
    DAMAGED.replace("Invalid argument", "WT_PANIC: WiredTiger library panic"),
    DAMAGED.replace("storage.py", "script.py"),
)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "documents_1.wt").write_text("kept")
    return Files(folder, "documents_*", UNREADABLE)


def test_files_are_kept_aside_when_two_starts_could_not_open_them(files: Files) -> None:
    assert files.set_aside_after(DAMAGED) is None
    kept = files.set_aside_after(DAMAGED)
    assert kept is not None
    assert (kept / "documents_1.wt").read_text() == "kept"
    assert list(files.folder.iterdir()) == []


def test_one_start_that_worked_in_between_begins_the_count_anew(files: Files) -> None:
    assert files.set_aside_after(DAMAGED) is None
    assert files.set_aside_after("") is None
    assert files.set_aside_after(DAMAGED) is None


def test_what_fails_on_an_empty_folder_too_is_not_put_aside_again(files: Files) -> None:
    assert [files.set_aside_after(DAMAGED) is None for _ in range(6)] == [
        True, False, True, True, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize("said", OTHER)
def test_other_troubles_leave_the_files_where_they_are(files: Files, said: str) -> None:
    for _ in range(4):
        assert files.set_aside_after(said) is None
    assert (files.folder / "documents_1.wt").is_file()


def test_a_first_start_that_was_cut_off_is_cleared_and_a_finished_one_is_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "half.wt").touch()
    files = Files(folder, "documents_*", re.compile("never"))
    files.clear_unfinished()
    assert list(folder.iterdir()) == []
    (folder / "whole.wt").touch()
    files.has_started()
    files.clear_unfinished()
    assert (folder / "whole.wt").is_file()
