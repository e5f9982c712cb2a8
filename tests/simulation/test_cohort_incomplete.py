"""From 30,868 imaged to 27,518 analysed."""

import numpy as np
import pandas as pd
import pytest

from muscle_bayes.cohort import read_cohort
from muscle_bayes.simulation import EXCLUSIONS, simulate_cohort
from muscle_bayes.simulation.cohort_incomplete import flow_counts
from muscle_bayes.simulation.cohort_parameters import load_parameters

MAIN_MODEL = [
    *("cbp", "intermat_percent", "lmm_cm3_per_kg_m2", "age_years", "sex", "activity", "site"),
    *("diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis"),
]


@pytest.fixture(scope="module")
def imaged() -> pd.DataFrame:
    return simulate_cohort(complete=False)


def test_exclusions_and_complete_cases_lead_back_to_the_complete_cohort(imaged):
    assert len(imaged) == 30_868
    cohort = read_cohort(imaged, exclusions=EXCLUSIONS)
    assert cohort.simulated
    removed = cohort.flow.set_index("reason")["n_removed"]
    assert [removed[rule["name"]] for rule in EXCLUSIONS] == [742, 556, 318]
    analysed = cohort.table.dropna(subset=MAIN_MODEL)
    assert len(cohort.table) - len(analysed) == 497 + 713 + 402 + 122
    assert len(analysed) == 27_518

    complete = simulate_cohort()
    analysed = analysed.sort_values("participant_id").reset_index(drop=True)[list(complete.columns)]
    pd.testing.assert_frame_equal(analysed, complete, check_dtype=False, check_exact=False, rtol=1e-12)


def test_pain_is_asked_of_all_who_are_analysed(imaged):
    # So the whole sample is the denominator of the pain model as well.
    analysed = imaged[imaged["qc"].eq("pass")].dropna(subset=MAIN_MODEL)
    assert analysed["pain_nrs"].notna().all()


def test_missing_values_hang_together(imaged):
    assert imaged["cbp"].isna().eq(imaged["pain_nrs"].isna()).all()
    assert imaged["activity"].isna().eq(imaged["activity_met_min_week"].isna()).all()
    no_bmi = imaged["bmi_kg_m2"].isna()
    assert no_bmi.sum() == 122
    assert imaged.loc[no_bmi, "lmm_cm3_per_kg_m2"].isna().all()
    assert imaged.loc[no_bmi, "lean_cm3"].notna().all()
    diagnoses = imaged[["diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis"]].isna()
    assert diagnoses.any(axis=1).sum() == 402
    assert diagnoses.sum().min() > 50  # each of the four is missing in some
    unmeasured = imaged["qc"].eq("fail") | imaged["truncated"].eq(1)
    assert imaged["intermat_percent"].isna().eq(unmeasured).all()


def test_a_swap_reads_muscle_as_fat_in_the_same_compartment(imaged):
    swapped = imaged["fat_water_swap"] == 1
    assert imaged.loc[swapped, "intermat_percent"].min() > 70
    left = imaged[swapped]
    for suffix in ("", "fraction_", "mixture_"):
        compartment = left[f"lmm_{suffix}cm3_per_kg_m2"] / (1 - left[f"intermat_{suffix}percent"] / 100)
        assert compartment.between(5, 60).all()
    np.testing.assert_allclose(left["lean_cm3"], left["lmm_cm3_per_kg_m2"] * left["bmi_kg_m2"], rtol=1e-12)


def test_who_is_excluded_is_independent_of_who_they_are(imaged):
    everyone = imaged.dropna(subset=["cbp"])
    dropped = everyone["qc"].eq("fail") | everyone["fat_water_swap"].eq(1) | everyone["truncated"].eq(1)
    share = everyone.groupby(dropped)[["cbp", "diabetes"]].mean().diff().iloc[-1].abs()
    assert (share < 4 * 0.42 / np.sqrt(1616)).all()  # SE of a share among the 1,616 dropped


@pytest.mark.parametrize("n", [1, 7, 3000, 30_868, 100_003])
def test_counts_share_out_any_number(n):
    exclusions = load_parameters().exclusions
    counts = flow_counts(n, exclusions)
    assert sum(counts.values()) == n
    assert min(counts.values()) >= 0
    exact = {"analysed": 27_518} | {k: v for k, v in exclusions.items() if k != "imaged"}
    assert all(abs(count - exact[name] * n / 30_868) < 1 for name, count in counts.items())
    if n == 30_868:
        assert counts == exact


@pytest.mark.parametrize("n", [1, 7, 500])
def test_small_numbers_of_imaged_work(n):
    table = simulate_cohort(n=n, complete=False)
    assert len(table) == n
    assert table.attrs["simulated"] is True
    assert table.attrs["complete"] is False
