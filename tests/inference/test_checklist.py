"""Checklists filled in from a fit: every item is there, with the fit's own numbers, and nothing else is claimed."""

import dataclasses
import re

import numpy as np
import pytest

import muscle_bayes as mb
from muscle_bayes.errors import InvalidValueError
from muscle_bayes.inference.diagnostics import Diagnostics, Finding

# Kruschke 2021, table 1: preamble and six steps; von Elm 2007, cross-sectional studies: 22 items, some in parts.
BARG_STEPS = {"0": 2, "1": 5, "2": 4, "3": 3, "4": 5, "5": 3, "6": 4}
STROBE_ITEMS = {str(k) for k in range(2, 23)} - {"12", "13", "14", "16"}
STROBE_PARTS = {"1a", "1b", *(f"12{c}" for c in "abcde"), "13a", "13b", "13c", "14a", "14b", "16a", "16b", "16c"}


@pytest.fixture(scope="module")
def frame(small_fit: mb.Fit):
    return small_fit.report_checklist()


def of(frame, checklist: str, item: str):
    return frame[(frame["checklist"] == checklist) & (frame["item"] == item)].iloc[0]


def test_every_item_of_both_checklists_is_there_once(frame) -> None:
    barg, strobe = (frame[frame["checklist"] == name]["item"] for name in ("BARG", "STROBE"))
    assert barg.str[0].value_counts().to_dict() == BARG_STEPS
    assert set(strobe) == STROBE_ITEMS | STROBE_PARTS
    assert not frame.duplicated(["checklist", "item"]).any()


def test_status_follows_from_what_is_said_and_what_is_left(frame) -> None:
    said, left = frame["text"] != "", frame["authors"] != ""
    idle = frame["text"].str.startswith("Not applicable")
    expected = np.select(
        [~said, idle, left], ["to be written by the authors", "not applicable", "filled in in part"], "filled in"
    )
    assert frame["status"].tolist() == expected.tolist()
    # Whatever is not filled in says what is to be done.
    assert (frame["authors"][~said] != "").all()
    assert of(frame, "STROBE", "22")["status"] == "to be written by the authors"


def test_numbers_are_those_of_the_fit(frame, small_fit: mb.Fit) -> None:
    row = mb.odds_ratios(small_fit).iloc[0]
    assert f"intermat_z: odds ratio {row['estimate']:.2f} per 2 Z" in of(frame, "BARG", "3.B")["text"]
    assert f"{row['lower']:.2f} to {row['upper']:.2f}" in of(frame, "BARG", "3.B")["text"]
    assert f"{small_fit.n:,} participants, of whom {small_fit.events:,}" in of(frame, "STROBE", "15")["text"]
    assert "simulated" in of(frame, "STROBE", "15")["text"]
    assert f"effective sample size of {small_fit.weights_ess:,.0f}" in of(frame, "BARG", "2.C")["text"]
    assert of(frame, "BARG", "2.B")["status"] == "not applicable"
    assert small_fit.data_hash in of(frame, "BARG", "6.B")["text"]
    assert f"half-normal({small_fit.model.priors.site_sd.half_normal:g})" in of(frame, "BARG", "1.C")["text"]


def test_what_a_study_has_made_is_no_longer_left_to_the_authors(frame, small_fit: mb.Fit) -> None:
    assert of(frame, "STROBE", "12e")["status"] == "to be written by the authors"
    made = small_fit.report_checklist({"sensitivity": "Refitted under 72 specifications."})
    for checklist, item in (("STROBE", "12e"), ("BARG", "5.A")):
        assert of(made, checklist, item)["status"] == "filled in"
        assert of(made, checklist, item)["text"] == "Refitted under 72 specifications."
    with pytest.raises(InvalidValueError, match="sensitivty"):
        small_fit.report_checklist({"sensitivty": "a slip"})


def test_a_fit_that_failed_its_gate_states_no_estimate(small_fit: mb.Fit) -> None:
    failed = dataclasses.replace(small_fit, diagnostics=Diagnostics((Finding("failure", "R-hat 1.3"),)))
    text = " ".join(failed.report_checklist()["text"])
    assert "no estimate of it is shown" in text
    assert "95 % interval" not in text
    assert not re.search(r"odds ratio \d", text)
