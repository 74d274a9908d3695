"""`storelog doctor`: what is wrong with this machine or the servers, and what to do."""

from dataclasses import asdict

import typer

from storelog.cli.options import AsJson, DataDir, print_json, settings_of

_MARKS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}


def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check everything and change nothing; exit 1 on a problem. Example: storelog doctor"""
    loaded = settings_of(data_dir)
    from storelog.doctor.check import PROBLEM
    from storelog.doctor.machine import check_machine
    from storelog.doctor.servers import check_servers
    from storelog.local import run_file
    from storelog.running import is_running

    findings = check_machine(loaded)
    # Not every embedded server tells its version, but `up` knows what it started.
    versions = run_file.versions(loaded.data_dir)
    is_up, logs = is_running(loaded.data_dir), loaded.data_dir / "logs"
    findings += check_servers(loaded.settings, is_up=is_up, versions=versions, logs=logs)
    problems = sum(finding.state == PROBLEM for finding in findings)
    if as_json:
        print_json({"problems": problems, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            print(f"{_MARKS[finding.state]}  {finding.name:<20} {finding.found}")
            if finding.advice:
                print(f"         {'':<20} -> {finding.advice}")
        print("\nno problems" if not problems else f"\n{problems} problems")
    if problems:
        raise typer.Exit(1)
