"""A server that says that it must end, and does not, is ended, so that it is started again."""

import sys
from pathlib import Path

import pytest

from storelog.local.mongodb import BROKEN
from storelog.local.program import Program
from support.system import wait_for

PANIC = (
    "[1795897954:764381][739:0x7f3e], WT_SESSION.commit_transaction: [WT_VERB_DEFAULT][ERROR]:"
    " __log_fs_write, 218: the process must exit and restart: WT_PANIC: WiredTiger library panic"
)


def talker(tmp_path: Path, *lines: str) -> Program:
    says = "; ".join(f"print({line!r}, flush=True)" for line in lines)
    # It stays until a signal ends it; should the test be gone, its own alarm does.
    argv = [sys.executable, "-c", f"import signal; signal.alarm(60); {says}; signal.pause()"]
    return Program("talker", argv, tmp_path / "talker.log", lambda: True, broken=BROKEN)


def test_a_server_whose_storage_gave_up_is_ended(tmp_path: Path) -> None:
    program = talker(tmp_path, *["all is well"] * 3, PANIC, "internal error")
    program.start()
    try:
        wait_for(program.look, "its end", 20)
        assert program.schedule_restart() == -9
    finally:
        program.wait_stopped()


@pytest.mark.parametrize("line", ["no space left on device", "WT_PANIC"])
def test_other_words_end_nothing(tmp_path: Path, line: str) -> None:
    program = talker(tmp_path, line, "the end")
    program.start()
    try:
        wait_for(lambda: b"the end" in program.log_path.read_bytes(), "its words", 20)
        assert not program.end_if_broken()
        assert not program.look()
    finally:
        program.ask_to_stop()
        program.wait_stopped()
