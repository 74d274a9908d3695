"""`make audit`: write the bill of materials, check its licences and pins, ask for advisories.

Usage: python -m audit ENVIRONMENT, the environment being the one that the services run in; the
tools run in the environment of this program. Exit 1 when a dependency of the services has a known
weakness, a licence that is not permissive, or no exact pin. When the advisory server cannot be
reached, that is said, and is no failure: nothing was learnt.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BILL = ROOT / "build" / "sbom.cdx.json"
TOOL_SECONDS = 240
PERMISSIVE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|Unlicense|Zero|0BSD", re.I
)


def main(environment: Path) -> int:
    """Run everything; return the exit code."""
    installed = {_plain(d.name): d for d in distributions(path=[str(_packages(environment))])}
    wanted = _closure(_own_requirements(), installed)
    pins = dict(_pins())
    complaints = [
        *(f"{name} has no exact pin in constraints.txt" for name in sorted(wanted - pins.keys())),
        *(
            f"{name} has a licence that is not permissive: {_licence(installed[name])}"
            for name in sorted(wanted)
            if not PERMISSIVE.search(_licence(installed[name]))
        ),
    ]
    _write_bill(environment)
    print(f"{len(wanted)} dependencies of the services; bill of materials: {BILL}")
    complaints += _advisories({name: pins[name] for name in sorted(wanted & pins.keys())})
    for complaint in complaints:
        print(f"audit: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _packages(environment: Path) -> Path:
    return next((environment / "lib").glob("python3.*")) / "site-packages"


def _own_requirements() -> list[str]:
    facts: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    dependencies: list[str] = facts["project"]["dependencies"]
    return dependencies


def _closure(requirements: Iterable[str], installed: dict[str, Distribution]) -> set[str]:
    """Return the names of all that the requirements bring, as installed here."""
    found: set[tuple[str, str]] = set()
    left = list(requirements)
    while left:
        name, extras = _name_and_extras(left.pop())
        # An optional dependency counts where its extra is asked for.
        for extra in ("", *extras):
            if name not in installed or (name, extra) in found:
                continue
            found.add((name, extra))
            for further in installed[name].requires or []:
                text, _, marker = further.partition(";")
                if _extra_of(marker) == extra:
                    left.append(text)
    return {name for name, _ in found}


def _name_and_extras(requirement: str) -> tuple[str, list[str]]:
    match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(\[[^\]]*\])?", requirement)
    assert match is not None, requirement
    return _plain(match[1]), re.findall(r"[\w-]+", match[2] or "")


def _extra_of(marker: str) -> str:
    match = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
    return match[1] if match else ""


def _pins() -> Iterable[tuple[str, str]]:
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        name, _, version = line.partition("==")
        if version:
            yield _plain(name), version


def _licence(distribution: Distribution) -> str:
    facts = distribution.metadata
    classifiers = [c for c in facts.get_all("Classifier") or [] if c.startswith("License ::")]
    words = [*(facts.get_all("License-Expression") or []), *(facts.get_all("License") or [])]
    said = [*classifiers, *(text[:100] for text in words)]
    return "; ".join(text for text in said if text) or "none"


def _write_bill(environment: Path) -> None:
    BILL.parent.mkdir(exist_ok=True)
    tool = Path(sys.executable).parent / "cyclonedx-py"
    argv = [str(tool), "environment", str(environment / "bin" / "python")]
    argv += ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"]
    argv += ["--of", "JSON", "-o", str(BILL)]
    subprocess.run(argv, check=True, timeout=TOOL_SECONDS, stderr=subprocess.DEVNULL)
    json.loads(BILL.read_text("utf-8"))


def _advisories(pins: dict[str, str]) -> list[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in pins.items()))
        file.flush()
        tool = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "-f", "json"]
        argv = [*tool, "-s", "osv", "--timeout", "10", "--progress-spinner", "off"]
        try:
            done = subprocess.run(
                [*argv, "-r", file.name],
                capture_output=True,
                text=True,
                timeout=TOOL_SECONDS,
                check=False,
            )
            found = json.loads(done.stdout)["dependencies"]
        except (subprocess.TimeoutExpired, ValueError, KeyError):
            print("the advisory server cannot be reached: NO advisories were looked at")
            return []
    print(f"{len(found)} dependencies looked up among the advisories")
    return [
        f"{entry['name']} {entry['version']}: {weakness['id']}, mended in"
        f" {', '.join(weakness['fix_versions']) or 'no version yet'}"
        for entry in found
        for weakness in entry.get("vulns", [])
    ]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
