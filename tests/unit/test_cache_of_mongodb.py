"""How much of its data the embedded MongoDB-wire server keeps in memory."""

from pathlib import Path

import pytest

from storelog.local.mongodb import cache_mib, memory_bytes

GIB = 2**30


@pytest.mark.parametrize(
    ("memory", "mib"),
    [(GIB, 256), (4 * GIB, 256), (8 * GIB, 512), (16 * GIB, 1_024), (256 * GIB, 1_024)],
)
def test_the_cache_is_a_sixteenth_of_the_memory_within_limits(memory: int, mib: int) -> None:
    assert cache_mib(memory) == mib


@pytest.mark.parametrize("said", ["max\n", "9223372036854771712\n", "", None])
def test_without_a_limit_of_a_container_the_memory_is_the_machines(
    tmp_path: Path, said: str | None
) -> None:
    limit = tmp_path / "memory.max"
    if said is not None:
        limit.write_text(said, "ascii")
    assert memory_bytes(limit) == memory_bytes(tmp_path / "none") > 2**20


def test_a_container_has_no_more_memory_than_its_limit(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("1048576\n", "ascii")
    assert memory_bytes(limit) == 2**20
