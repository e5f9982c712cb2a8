"""The table of estimands names tests that exist, and every estimand that is public."""

import re
from pathlib import Path

import pytest

from muscle_bayes import estimands

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "estimands.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_each_row_names_a_test_that_exists(page) -> None:
    known = {
        name
        for path in (PROJECT / "tests" / "estimands").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| Estimand")]
    assert len(rows) >= 20
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.split("|")[-2])
        assert named, row
        assert not set(named) - known, row
        assert all(cell.strip() for cell in row.split("|")[1:-1]), row


def test_every_public_estimand_is_in_the_table(page) -> None:
    for name in estimands.__all__:
        if name not in {"Nomogram", "printed"}:
            assert re.search(rf"`{name}\b", page), name
