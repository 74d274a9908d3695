"""A data directory that no server could use is an error of one line, before anything is made."""

import os
from pathlib import Path

import pytest

from storelog.doctor import machine
from storelog.errors import BadUse
from storelog.local import run_file

NAMES = {
    os.fsdecode(b"caf\xe9"): "not UTF-8",
    "two\nlines": "a control character",
    "/".join(["long" * 50] * 5): "bytes, more than 800",
    "x" * 300: "File name too long",
}


@pytest.mark.parametrize("name", NAMES, ids=NAMES.values())
def test_a_data_directory_that_cannot_be_used_is_rejected_on_one_line(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadUse, match=NAMES[name]) as refused:
        run_file.lock(tmp_path / name)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_doctor_says_what_is_wrong_with_a_name(tmp_path: Path) -> None:
    finding = machine._data_dir(tmp_path / "two\nlines")
    assert (finding.state, "control character" in finding.found) == ("problem", True)
