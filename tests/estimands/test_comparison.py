"""Methods side by side: the numbers are each method's own, and the words say why they differ."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.external import plain_name, read_external

LME4 = Path(__file__).parents[1] / "fixtures" / "lme4_simulated_cohort" / "glmer.json"


@pytest.fixture(scope="module")
def lme4_table() -> pd.DataFrame:
    """As ``write.csv(coef(summary(glmer(...))))`` names its rows and columns."""
    said = json.loads(LME4.read_text())["cbp_interaction"]
    names = {"sex[male]": "sexmale", "activity[low]": "activitylow", "Intercept": "(Intercept)"}
    rows = [(names.get(name, name), value, said["se"][name]) for name, value in said["estimate"].items()]
    return pd.DataFrame(rows, columns=["", "Estimate", "Std. Error"])


@pytest.fixture(scope="module")
def compared(interaction_fit: mb.Fit, simulated_table: pd.DataFrame, lme4_table: pd.DataFrame) -> pd.DataFrame:
    ml = mb.fit("cbp_interaction", simulated_table, method="ml")
    return mb.compare(
        {"Bayes": interaction_fit, "ML": ml},
        references=["gee", "cluster_robust", "fixed_site"],
        external={"lme4": lme4_table},
        at={"lmm_z": [0, 1]},
    )


def rows(frame: pd.DataFrame, source: str, term: str) -> pd.DataFrame:
    return frame[(frame["source"] == source) & (frame["term"] == term)]


def test_pasted_lme4_equals_our_maximum_likelihood(compared: pd.DataFrame) -> None:
    for term in ("age_z", "sex[male]", "osteoarthritis"):
        ours, theirs = rows(compared, "ML", term).iloc[0], rows(compared, "lme4", term).iloc[0]
        assert np.log(theirs["estimate"] / ours["estimate"]) == pytest.approx(0, abs=1e-3)
        assert theirs["width_ratio"] == pytest.approx(ours["width_ratio"], rel=0.01)


def test_a_contrast_of_several_coefficients_stays_empty_outside(compared: pd.DataFrame) -> None:
    """At an LMM of +1 Z, InterMAT's odds ratio needs the interaction's covariance, which no table of coefficients holds."""
    outside = rows(compared, "lme4", "intermat_z")
    assert outside["estimate"].notna().tolist() == [True, False]
    assert any("lme4 has no value for InterMAT" in note for note in compared.attrs["notes"])


def test_odds_ratios_are_each_fits_own(compared: pd.DataFrame, interaction_fit: mb.Fit) -> None:
    own = mb.odds_ratios(interaction_fit, at={"lmm_z": [0, 1]}, terms=["intermat_z"])
    here = rows(compared, "Bayes", "intermat_z")
    for name in ("estimate", "lower", "upper", "mcse"):
        np.testing.assert_allclose(here[name], own[name])
    np.testing.assert_allclose(here["width_ratio"], 1)
    np.testing.assert_allclose(here["shift"], 0)


def test_width_ratio_and_shift_by_hand(compared: pd.DataFrame) -> None:
    base, other = rows(compared, "Bayes", "age_z").iloc[0], rows(compared, "Logit, site fixed", "age_z").iloc[0]
    width = np.log(base["upper"] / base["lower"])
    assert other["width_ratio"] == pytest.approx(np.log(other["upper"] / other["lower"]) / width)
    shift = np.log(other["estimate"] / base["estimate"]) / (width / (2 * 1.959964))
    assert other["shift"] == pytest.approx(shift, rel=1e-5)


def test_site_effects_sum_to_zero_and_shrink(compared: pd.DataFrame) -> None:
    effects = compared[compared["estimand"] == "site effect"].pivot_table(
        index="term", columns="source", values="estimate"
    )
    assert effects["Logit, site fixed"].sum() == pytest.approx(0, abs=1e-9)
    assert effects["ML"].abs().sum() < effects["Logit, site fixed"].abs().sum()
    assert any(note.startswith("Shrinkage") and "Bayes keeps" in note for note in compared.attrs["notes"])


def test_few_sites_are_explained_with_the_numbers(compared: pd.DataFrame) -> None:
    note = next(note for note in compared.attrs["notes"] if note.startswith("5 sites say little"))
    spread = rows(compared, "Bayes", "1|site_sigma").iloc[0]
    assert spread["text"] in note
    assert "half-normal prior of scale 0.5" in note


def test_a_reference_without_estimates_is_a_note_not_the_end(small_table: pd.DataFrame) -> None:
    table = small_table.assign(osteoporosis=small_table["cbp"])
    fit = mb.fit("cbp_main", table, method="laplace", draws=400)
    found = mb.compare({"Bayes": fit}, references=["fixed_site"], allow_unconverged=True)
    assert found.loc[found["kind"] == "reference", "estimate"].isna().all()
    assert any("do not exist" in note for note in found.attrs["notes"])


def test_an_estimate_on_its_way_to_infinity_is_none(small_table: pd.DataFrame) -> None:
    """Nobody with osteoporosis has the outcome: its odds ratio by maximum likelihood does not exist, the others do."""
    table = small_table.assign(cbp=small_table["cbp"].where(small_table["osteoporosis"] == 0, 0))
    ml = mb.fit("cbp_main", table, method="ml")
    bayes = mb.fit("cbp_main", table, method="laplace", draws=400)
    found = mb.compare({"Bayes": bayes, "ML": ml}, allow_unconverged=True)
    assert rows(found, "ML", "osteoporosis")["estimate"].isna().all()
    assert rows(found, "ML", "intermat_z")["width_ratio"].iloc[0] == pytest.approx(1, abs=0.2)
    assert rows(found, "Bayes", "osteoporosis")["upper"].iloc[0] < 1
    assert any(note.startswith("ML failed its gate: quasi-separation") for note in found.attrs["notes"])


def test_fits_of_other_data_or_models_are_refused(small_fit: mb.Fit, small_table: pd.DataFrame) -> None:
    fewer = mb.fit("cbp_interaction", small_table.iloc[:1500], method="ml")
    with pytest.raises(EstimandError, match=r"different data \(2,000 and 1,500"):
        mb.compare({"a": small_fit, "b": fewer})
    with pytest.raises(EstimandError, match="there is no fit"):
        mb.compare({})


def test_headings_of_other_software(tmp_path: Path) -> None:
    brms = tmp_path / "fixef.csv"
    brms.write_text(
        '"","Estimate","Est.Error","Q2.5","Q97.5"\n"Intercept",-1.7,0.1,-1.9,-1.5\n"sexmale",0.10,0.05,0.02,0.19\n'
    )
    found = read_external("brms", brms)
    assert found.loc["sexmale"].tolist() == [0.10, 0.02, 0.19]
    broom = pd.DataFrame(
        {
            "effect": ["fixed", "ran_pars"], "term": ["age_z", "sd__(Intercept)"], "estimate": [2.0, 0.1],
            "conf.low": [1.0, np.nan], "conf.high": [4.0, np.nan], "scale": "odds ratio",
        }
    )  # fmt: skip
    np.testing.assert_allclose(read_external("broom", broom).loc["agez"], np.log([2.0, 1.0, 4.0]))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("C(sex)[T.male]", "sex[male]"),
        ("b_age_z", "age_z"),
        ("lmm_z:intermat_z", "intermat_z:lmm_z"),
        ("sexmale", "sex[male]"),
    ],
)
def test_names_of_other_software(theirs: str, ours: str) -> None:
    assert plain_name(theirs) == plain_name(ours)


def test_tables_that_cannot_be_read(small_fit: mb.Fit) -> None:
    with pytest.raises(EstimandError, match="neither standard errors nor both limits"):
        read_external("x", pd.DataFrame({"term": ["a"], "estimate": [1.0]}))
    with pytest.raises(EstimandError, match="no column 'estimate'"):
        read_external("x", pd.DataFrame({"term": ["a"], "value": [1.0]}))
    with pytest.raises(EstimandError, match="none of its coefficients"):
        mb.compare({"Bayes": small_fit}, external={"x": pd.DataFrame({"term": ["a"], "estimate": [1.0], "se": [1.0]})})
