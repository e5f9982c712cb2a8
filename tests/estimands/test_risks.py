"""Standardised risks against closed forms."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import risks
from muscle_bayes.estimands.e_values import e_value, e_value_of_limit, square_root_approximation


@pytest.fixture(scope="module")
def one_exposure(make_fit):
    """Only InterMAT matters, and only its slope is uncertain: every quantity is a function of one normal."""
    slopes, sd = np.zeros(7), np.zeros(8)
    slopes[0], sd[1] = 0.10, 0.03
    return make_fit(interaction=False, slopes=slopes, sd=sd)


def pick(frame, estimand, **where):
    found = frame[frame["estimand"] == estimand]
    for name, value in where.items():
        found = found[found[name] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_fixed_levels_have_a_closed_form(one_exposure) -> None:
    frame = risks(one_exposure, levels={"intermat_z": (-1, 1)}, terms=["intermat_z"], site="typical")

    def at(quantile):
        slope = 0.10 + 0.03 * norm.ppf(quantile)
        low, high = expit(-1.4 - slope), expit(-1.4 + slope)
        return {"low": low, "high": high, "risk difference": high - low, "risk ratio": high / low,
                "cases per 1,000": 1000 * (high - low)}  # fmt: skip

    for name, q in (("lower", 0.025), ("estimate", 0.5), ("upper", 0.975)):
        for estimand in ("risk difference", "risk ratio", "cases per 1,000"):
            assert pick(frame, estimand)[name] == pytest.approx(at(q)[estimand], rel=2e-3)
        assert pick(frame, "risk", level="high")[name] == pytest.approx(at(q)["high"], rel=1e-3)
    assert pick(frame, "risk difference")["prob_gt_null"] == pytest.approx(norm.cdf(0.1 / 0.03), abs=3e-4)
    assert np.isnan(pick(frame, "risk", level="low")["prob_gt_null"])


def test_default_moves_each_person_from_their_own_value(make_fit) -> None:
    fit = make_fit(sd=0.0, n=500)
    frame = risks(fit, terms=["lmm_z"], site="typical")
    z = fit.recipe.standardise(fit.cohort)
    beta = fit.mean
    risk = [expit(beta[0] + fit.recipe.matrix(z.assign(lmm_z=z["lmm_z"] + s)) @ beta[1:]).mean() for s in (-1, 1)]
    assert pick(frame, "risk difference")["estimate"] == pytest.approx(risk[1] - risk[0], abs=2e-6)
    assert pick(frame, "risk ratio")["estimate"] == pytest.approx(risk[1] / risk[0], rel=1e-5)
    own = risks(fit, terms=["lmm_z"], site="typical", per=None)
    assert "own value + 1.5 Z" in pick(own, "risk difference")["contrast"]


def test_the_persons_own_site_is_the_default(make_fit) -> None:
    fit = make_fit(sd=0.0, n=500)
    frame = risks(fit, terms=["lmm_z"])
    z = fit.recipe.standardise(fit.cohort)
    effect = np.array([-0.2, 0.05, 0.3])[fit.recipe.site_index(z)]
    high = expit(fit.mean[0] + fit.recipe.matrix(z.assign(lmm_z=z["lmm_z"] + 1)) @ fit.mean[1:] + effect).mean()
    assert pick(frame, "risk", level="high")["estimate"] == pytest.approx(high, abs=2e-6)
    assert set(frame["site"]) == {"known"}


def test_subgroups_have_their_own_risks_and_counts(fit) -> None:
    frame = risks(fit, terms=["intermat_z"], site="typical", by="sex")
    persons = fit.cohort
    for sex in ("female", "male"):
        population = f"sex = {sex} (n = {(persons['sex'] == sex).sum():,})"
        alone = risks(fit, terms=["intermat_z"], site="typical", cohort=persons[persons["sex"] == sex])
        for name in ("estimate", "lower", "upper"):
            grouped = pick(frame, "risk difference", population=population)[name]
            assert grouped == pytest.approx(pick(alone, "risk difference")[name], abs=1e-6)
    whole = risks(fit, terms=["intermat_z"], site="typical")
    everyone = pick(frame, "risk ratio", population="analysis set (n = 2,000)")
    assert everyone["estimate"] == pytest.approx(pick(whole, "risk ratio")["estimate"], abs=1e-6)


def test_share_pushed_outside_the_data_is_stated_and_flagged(fit) -> None:
    frame = risks(fit, terms=["lmm_z"], site="typical", cohort=fit.cohort.head(300))
    z = fit.recipe.standardise(fit.cohort.head(300))
    groups = fit.support.by_group.set_index(["sex", "age_band"])
    pushed, already = 0, 0
    for _, person in z.iterrows():
        age = person["age_years"]
        band = "<40" if age < 40 else "40-49" if age < 50 else "50-59" if age < 60 else "60+"
        low, high = groups.loc[(person["sex"], band), ["lmm_z_q01", "lmm_z_q99"]]
        inside = low <= person["lmm_z"] <= high
        # Who lies outside as they are is not pushed there by the contrast.
        pushed += inside and not (low <= person["lmm_z"] - 1 and person["lmm_z"] + 1 <= high)
        already += not inside
    assert frame["outside_share"].iloc[0] == pytest.approx(pushed / len(z))
    assert frame["already_outside_share"].iloc[0] == pytest.approx(already / len(z))
    assert frame["flag"].iloc[0] == "more than 5 % pushed outside the data"
    # The contrast that the note offers does stay inside, and the next wider one does not.
    offered = float(frame["note"].iloc[0].split("per=")[1].split(" ")[0])
    shares = [
        risks(fit, terms=["lmm_z"], site="typical", cohort=fit.cohort.head(300), per=per)["outside_share"].iloc[0]
        for per in (offered, {0.1: 0.25, 0.25: 0.5, 0.5: 0.75, 0.75: 1.0, 1.0: 1.5, 1.5: 2.0}[offered])
    ]
    assert shares[0] <= 0.05 < shares[1]
    near = risks(fit, terms=["lmm_z"], site="typical", levels={"lmm_z": (-0.01, 0.01)})
    assert near["outside_share"].iloc[0] < 0.05
    assert near["flag"].iloc[0] == ""


def test_maximum_likelihood_estimate_is_at_the_maximum(make_fit) -> None:
    fit = make_fit(method="ml", sd=0.2)
    frame = risks(fit, levels={"intermat_z": (-1, 1)}, terms=["intermat_z"], site="typical")
    rows = [fit.recipe.matrix(fit.recipe.standardise(fit.cohort).assign(intermat_z=z)) for z in (-1.0, 1.0)]
    low, high = (expit(fit.mean[0] + r @ fit.mean[1:]).mean() for r in rows)
    assert pick(frame, "risk difference")["estimate"] == pytest.approx(high - low, abs=2e-6)
    assert frame[["mcse", "prob_gt_null"]].isna().all(axis=None)


def test_binary_terms_go_from_no_to_yes_and_categories_from_their_reference(fit) -> None:
    frame = risks(fit, terms=["diabetes"], site="typical")
    assert pick(frame, "risk difference")["contrast"] == "Diabetes = yes against no"
    assert pick(frame, "risk difference")["role"] == "adjustment"
    every = risks(fit, terms=["activity"], site="typical")
    differences = every[every["estimand"] == "risk difference"].set_index("contrast")["estimate"]
    assert list(differences.index) == [f"Physical activity = {level} against moderate" for level in ("low", "high")]
    assert list(every.loc[every["estimand"] == "risk", "level"]) == ["low", "high", "high"]
    for level in ("low", "high"):
        one = risks(fit, terms=["activity"], levels={"activity": ("moderate", level)}, site="typical")
        assert pick(one, "risk difference")["estimate"] == differences[f"Physical activity = {level} against moderate"]
    got = risks(fit, terms=["activity"], levels={"activity": ("moderate", "low")}, site="typical")
    assert pick(got, "risk ratio")["contrast"] == "Physical activity = low against moderate"
    with pytest.raises(EstimandError, match="no such column"):
        risks(fit, by="shoe_size")


def test_e_values_of_the_paper_that_introduced_them() -> None:
    # VanderWeele & Ding 2017: RR 3.9 (1.8 to 8.7) has 7.26, and 3.0 at the limit.
    assert e_value(np.array([3.9]))[0] == pytest.approx(7.26, abs=0.005)
    assert e_value_of_limit([3.9], [1.8], [8.7])[0] == pytest.approx(3.0, abs=0.005)
    # A protective ratio is inverted; an interval over 1 has 1.
    assert e_value([1 / 3.9])[0] == pytest.approx(7.26, abs=0.005)
    assert e_value_of_limit([1 / 3.9], [1 / 8.7], [1 / 1.8])[0] == pytest.approx(3.0, abs=0.005)
    assert e_value_of_limit([1.2], [0.9], [1.6])[0] == 1
    assert square_root_approximation([4.0])[0] == 2


def test_e_value_stands_with_the_risk_ratio_only(one_exposure) -> None:
    frame = risks(one_exposure, terms=["intermat_z"], site="typical")
    ratio = pick(frame, "risk ratio")
    assert ratio["e_value"] == pytest.approx(e_value([ratio["estimate"]])[0])
    assert ratio["e_value_limit"] == pytest.approx(e_value([ratio["lower"]])[0])
    assert frame.loc[frame["estimand"] != "risk ratio", ["e_value", "e_value_limit"]].isna().all(axis=None)
