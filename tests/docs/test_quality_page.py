"""The page on quality says what the judgement found, on seeds that nothing else was made of."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from muscle_bayes.imaging.quality import read_reference
from muscle_bayes.imaging.quality.metal import BETWEEN_SHARE, EXCHANGED_SHARE, LEAST_CM3, PILED_UP_SHARE
from muscle_bayes.imaging.quality.reference import FALSE_ALARM_RATE
from muscle_bayes.imaging.quality.slices import GAP_RATIO
from muscle_bayes.imaging.quality.volumes import SIDE_RATIO

PROJECT = Path(__file__).resolve().parents[2]
FOUND = json.loads((PROJECT / "benchmarks" / "results" / "quality.json").read_text())
PAGE = (PROJECT / "docs" / "quality.md").read_text()


def test_figures_are_those_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    from quality_words import in_words

    assert in_words(FOUND) == (PROJECT / "benchmarks" / "results" / "quality.md").read_text()
    assert "{include} ../benchmarks/results/quality.md" in PAGE
    sys.modules.pop("quality_words")


def test_limits_on_the_page_are_those_of_the_checks() -> None:
    assert f"{GAP_RATIO:g} times" in PAGE
    assert f"{100 * PILED_UP_SHARE:.0f} %, {100 * EXCHANGED_SHARE:.0f} % and {100 * BETWEEN_SHARE:.0f} %" in PAGE
    assert f"at least {LEAST_CM3:g} cm³" in PAGE
    assert f"one good scan in {1 / FALSE_ALARM_RATE:,.0f}" in PAGE
    assert f"| {SIDE_RATIO:g} | review" in PAGE


def test_every_block_of_seeds_was_used_once() -> None:
    seeds = FOUND["seeds"]
    first, last = seeds["reference"]
    assert f"seeds {first} to {last}" in read_reference().made_by
    blocks = [seeds["reference"], seeds["clean"], seeds["faults"][:2], seeds["faults"][2:], seeds["repair"]]
    for before in FOUND["judged_before"]:
        blocks += [before["seeds"]["clean"], before["seeds"]["faults"][:2], before["seeds"]["faults"][2:]]
    for (_, end), (start, _) in pairwise(sorted(blocks)):
        assert end < start


def test_every_task_was_done_in_whole() -> None:
    assert {entry["of"] for entry in FOUND["sensitivity"].values()} == {60}
    assert FOUND["joint_specificity"]["of"] == 400
    assert FOUND["swap_repair"]["clean_harmed_with_labels"]["of"] == 3000
