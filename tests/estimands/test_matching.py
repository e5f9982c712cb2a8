"""Participants for a figure of images, chosen from a table by stated rules."""

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.matching import matching_words


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return mb.simulate_cohort(n=2_000, seed=1)


def test_chosen_lie_at_the_percentiles_and_agree(table: pd.DataFrame) -> None:
    chosen = mb.select_matched(table)
    targets = np.percentile(table["intermat_percent"].dropna(), [25, 50, 75])
    np.testing.assert_allclose(chosen["target"], targets)
    assert (np.abs(chosen["intermat_percent"] - targets) <= 0.1 * table["intermat_percent"].std()).all()
    assert np.ptp(chosen["lmm_cm3_per_kg_m2"]) <= 0.1 * table["lmm_cm3_per_kg_m2"].std()
    assert len(set(chosen["sex"])) == 1
    np.testing.assert_allclose(
        chosen["matched_difference"], chosen["lmm_cm3_per_kg_m2"] - chosen["lmm_cm3_per_kg_m2"][0]
    )
    assert chosen.attrs["simulated"]
    assert "25th, 50th and 75th percentile of InterMAT" in matching_words(chosen)


def test_the_best_set_of_a_small_table_is_found() -> None:
    frame = pd.DataFrame(
        {
            "participant_id": list("abcdefghi"),
            "intermat_percent": [1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 5.0],
            "lmm_cm3_per_kg_m2": [20, 24.0, 30.0, 24.1, 26.0, 30.3, 23.9, 29.0, 22],
        }
    )
    chosen = mb.select_matched(frame, tolerance=0.5, across_tolerance=0.1)
    assert list(chosen["participant_id"]) == ["b", "d", "g"]
    assert not chosen.attrs["simulated"]
    # Of those with images only: the nearest set left differs by 1.3.
    with pytest.raises(EstimandError, match=r"nearest differ by 1\.3"):
        mb.select_matched(frame, tolerance=0.5, across_tolerance=0.1, among=set("cfhi") | {"a"})
    other = mb.select_matched(frame, tolerance=1.5, across_tolerance=0.1, among=set("cfh"))
    assert list(other["participant_id"]) == ["c", "f", "h"]


def test_order_of_the_rows_does_not_matter(table: pd.DataFrame) -> None:
    again = mb.select_matched(table.sample(frac=1, random_state=1))
    assert list(again["participant_id"]) == list(mb.select_matched(table)["participant_id"])


def test_refusals_name_the_way_out(table: pd.DataFrame) -> None:
    with pytest.raises(EstimandError, match="no such column"):
        mb.select_matched(table, across="shoe_size")
    with pytest.raises(EstimandError, match="near enough"):
        mb.select_matched(table, across_tolerance=0.0)
    with pytest.raises(EstimandError, match="two or more"):
        mb.select_matched(table, percentiles=[50])
