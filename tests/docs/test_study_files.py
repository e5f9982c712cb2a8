"""Study files that the pages about scans show are study files."""

import re
import tomllib
from pathlib import Path

import pytest

from muscle_bayes.study.settings import study_from

DOCS = Path(__file__).parents[2] / "docs"
NEEDED = {"study": {"name": "shown"}, "participants": {"file": "participants.csv"}, "fits": [{"model": "cbp_main"}]}
SHOWN = [
    pytest.param(text, id=f"{page} {number}")
    for page in ("deliveries", "cohort_runs")
    for number, text in enumerate(
        re.findall(r"```toml\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL), 1
    )
]


@pytest.mark.parametrize("text", SHOWN)
def test_what_is_shown_is_taken(text: str) -> None:
    content = tomllib.loads(text)
    if "tool" in content["images"] and content["images"]["backend"] == "bundle":
        # The overview of all keys shows the table of other backends as well, and says so.
        assert "only" in next(line for line in text.splitlines() if line.startswith("[images.tool]"))
        del content["images"]["tool"]
    content["images"].setdefault("backend", "bundle")
    study = study_from({**NEEDED, **content}, folder=Path.cwd(), where="the page")
    assert study.images is not None


def test_pages_do_show_some() -> None:
    assert len(SHOWN) >= 6
