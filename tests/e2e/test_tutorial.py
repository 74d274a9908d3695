"""The tutorial's commands, literally and in their order, in one shell; only the ports differ."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.system import free_port

ROOT = Path(__file__).parents[2]
SECONDS = 300
# What each step has to show, by the words of its command.
SHOWN = {
    "storelog up": "Storelog is ready",
    "storelog status": "projector",
    "/customers": '"customerId":1',
    "my-first-order": '"totalPrice":"25.50"',
    '"quantity": 20': "/problems/insufficient-stock",
    "Storelog-Wait-For: 4": '"customerName":"Ann Miller"',
    "8081/products/1": '"stock":8',
    "storelog events": '"ProductSold"',
    "storelog lag": "projected",
    "storelog verify": "agree",
}


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A folder that looks like the checkout, for data of its own."""
    folder = Path(tempfile.mkdtemp(prefix="storelog-tutorial-"))
    for name in (".venv", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
        # Older than the environment that the test runs in: `make install` finds it done.
        os.utime(folder / name, (0, 0))
    try:
        yield folder
    finally:
        end = [str(ROOT / ".venv" / "bin" / "storelog"), "down"]
        subprocess.run(end, cwd=folder, check=False, timeout=60, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def commands() -> list[str]:
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    return [line for line in blocks.splitlines() if line.strip()]


def test_the_tutorial_does_what_it_says(checkout: Path) -> None:
    lines = commands()
    ports = {"8080": str(free_port()), "8081": str(free_port())}
    script = "\n".join(f"echo '##{n}'\n{line}\necho" for n, line in enumerate(lines))
    more = f"up --detach --relay-port {free_port()} --projector-port {free_port()}"
    script = script.replace("up --detach", f"{more} --command-port 8080 --query-port 8081")
    script = re.sub("808[01]", lambda port: ports[port[0]], script)
    argv = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        argv, cwd=checkout, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said = re.split(r"^##\d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(said) == len(lines)
    for words, shown in SHOWN.items():
        answers = [text for line, text in zip(lines, said, strict=True) if words in line]
        assert answers, f"the tutorial has no {words}"
        assert all(shown in text for text in answers), (words, answers)
    keyed = [text for line, text in zip(lines, said, strict=True) if "my-first-order" in line]
    assert ["idempotency-replayed: true" in text.lower() for text in keyed] == [False, True]
    assert done.stdout.count('"orderId":1,') >= 2
