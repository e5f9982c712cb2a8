"""Reviewers' decisions: what is written is read back, and every broken row is refused by its line."""

import hashlib

import pytest

from muscle_bayes.errors import DuplicateKeyError, InvalidValueError, MissingColumnError
from muscle_bayes.imaging.quality.decisions import (
    DECISION_COLUMNS,
    corrected_labels,
    mask_sha256,
    read_decisions,
    write_decision_template,
)

HASH = hashlib.sha256(b"labels").hexdigest()


def table(folder, *rows, columns=DECISION_COLUMNS):
    """Write a table of decisions."""
    path = folder / "qc_decisions.tsv"
    path.write_text("\n".join("\t".join(row) for row in (columns, *rows)) + "\n", encoding="utf-8")
    return path


def test_template_is_no_decision_and_keeps_those_made(tmp_path):
    path = write_decision_template(
        tmp_path / "qc_decisions.tsv",
        [{"participant_id": "007", "session_id": "1", "labels_sha256": HASH}, {"participant_id": "8"}],
    )
    assert read_decisions(path) == {}
    text = path.read_text(encoding="utf-8").splitlines()
    assert text[0] == "\t".join(DECISION_COLUMNS)
    path.write_text(text[0] + "\n007\t1\texclude\tAB\t2026-03-31\tmoved\t\t\n" + text[2] + "\n", encoding="utf-8")
    write_decision_template(path, [{"participant_id": "007", "session_id": "1"}, {"participant_id": "9"}])
    read = read_decisions(path)
    assert list(read) == [("007", "1")]
    assert (read["007", "1"].decision, read["007", "1"].comment) == ("exclude", "moved")
    assert path.read_text(encoding="utf-8").splitlines()[2].startswith("9\t")


def test_template_shows_an_example_that_is_no_decision_until_its_mark_is_gone(tmp_path):
    path = write_decision_template(tmp_path / "qc_decisions.tsv", [])
    write_decision_template(path, [])  # written again, there is one example still
    header, example = path.read_text(encoding="utf-8").splitlines()
    assert read_decisions(path) == {}
    path.write_text(f"{header}\n{example.removeprefix('# example: ')}\n", encoding="utf-8")
    assert read_decisions(path)["sub-007", ""].decision == "exclude"


def test_corrected_mask_supersedes_by_hash_only(tmp_path):
    mask = tmp_path / "corrected.nii.gz"
    mask.write_bytes(b"mask")
    path = table(tmp_path, ("1", "", "corrected", "AB", "2026-03-31", "", mask.name, HASH))
    decision = read_decisions(path)["1", ""]
    assert corrected_labels(decision, HASH) == mask
    assert mask_sha256(mask) == hashlib.sha256(b"mask").hexdigest()
    with pytest.raises(InvalidValueError, match="another version of the labels"):
        corrected_labels(decision, hashlib.sha256(b"newer").hexdigest())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("", "", "pass", "AB", "2026-03-31", "", "", ""), "participant_id is empty"),
        (("1", "", "maybe", "AB", "2026-03-31", "", "", ""), "'maybe' is no decision"),
        (("1", "", "pass", "", "2026-03-31", "", "", ""), "needs a reviewer"),
        (("1", "", "pass", "AB", "31.3.2026", "", "", ""), "'31.3.2026' is no date"),
        (("1", "", "corrected", "AB", "2026-03-31", "", "", ""), "corrected_mask is empty"),
        (("1", "", "pass", "AB", "2026-03-31", "", "m.nii.gz", HASH), "the decision is pass"),
        (("1", "", "corrected", "AB", "2026-03-31", "", "no.nii.gz", HASH), "there is no file no.nii.gz"),
        (("1", "", "corrected", "AB", "2026-03-31", "", "m.nii.gz", "abc"), "not a SHA-256"),
    ],
)
def test_broken_rows_are_refused_by_line(tmp_path, row, reason):
    (tmp_path / "m.nii.gz").write_bytes(b"mask")
    path = table(tmp_path, ("0", "", "pass", "AB", "2026-03-31", "", "", ""), row)
    with pytest.raises(InvalidValueError, match=reason) as refusal:
        read_decisions(path)
    assert refusal.value.where == "qc_decisions.tsv, line 3"


def test_two_decisions_and_lost_columns_are_refused(tmp_path):
    row = ("1", "", "pass", "AB", "2026-03-31", "", "", "")
    with pytest.raises(DuplicateKeyError, match="line 2"):
        read_decisions(table(tmp_path, row, row))
    with pytest.raises(MissingColumnError, match="lacks reviewer"):
        read_decisions(table(tmp_path, columns=[name for name in DECISION_COLUMNS if name != "reviewer"]))
