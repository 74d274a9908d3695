"""Files of signed heads: what is damaged in one is named."""

from pathlib import Path

from storelog.verify.anchor import open_anchor
from storelog.verify.report import Report


def test_a_signature_that_is_no_signature_at_all_is_named(tmp_path: Path) -> None:
    path = tmp_path / "anchor"
    open_anchor(path, tmp_path).add(3, bytes(32))
    signature = open_anchor(path, tmp_path).heads[3].signature
    path.write_text(path.read_text().replace(signature, "\u00e9"), encoding="utf-8")
    report = Report()
    open_anchor(path, tmp_path).check_signatures(report)
    found = [(each["id"], each["field"], each["found"]) for each in report.differences]
    assert found == [(3, "anchor", "\u00e9")]
