"""Specifications against what changing a prior, a sample or the covariates does to a logistic regression elsewhere."""

import numpy as np
import pytest
import statsmodels.formula.api as smf

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import interaction, odds_ratios, risks, sensitivity
from muscle_bayes.estimands.followed import followed, summary_rows
from muscle_bayes.estimands.specifications import with_adipose, with_adjustment
from muscle_bayes.inference import fit as fit_model
from muscle_bayes.simulation import simulate_cohort
from muscle_bayes.specification import load_model

TERMS = (
    "intermat_z + lmm_z + age_z + C(sex, Treatment('female')) + C(activity, Treatment('moderate')) + diabetes + "
    "dyslipidemia + osteoporosis + osteoarthritis"
)


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(n=3_000, seed=1)


@pytest.fixture(scope="module")
def scored(cohort):
    z = {"intermat_z": "intermat_percent", "lmm_z": "lmm_cm3_per_kg_m2", "age_z": "age_years"}
    return cohort.assign(**{name: (cohort[c] - cohort[c].mean()) / cohort[c].std() for name, c in z.items()})


@pytest.fixture(scope="module")
def frame(cohort):
    return sensitivity(
        "cbp_main",
        cohort,
        site_sd=(0.5,),
        adipose=("threshold",),
        reviewer=False,
        estimands=("odds ratio",),
        draws=4000,
    )


def pick(frame, term, **where):
    found = frame[(frame["term"] == term) & (frame["estimand"] == "odds ratio")]
    for name, value in where.items():
        found = found[found[name] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_a_sceptical_prior_shrinks_as_a_normal_prior_does(frame, scored) -> None:
    ml = smf.logit(f"cbp ~ {TERMS} + C(site)", scored).fit(disp=0)
    prior = {"intermat_z": np.log(1.5) / 1.96 / 2, "lmm_z": np.log(1.5) / 1.96 / 2}
    precision = np.diag(
        [0.0 if n == "Intercept" or "site" in n else prior.get(n, np.log(10) / 1.96) ** -2 for n in ml.params.index]
    )
    inverse = np.linalg.inv(ml.cov_params())
    conjugate = np.linalg.solve(inverse + precision, inverse @ ml.params)
    expected = dict(zip(ml.params.index, conjugate, strict=True))
    for name in prior:
        found = np.log(pick(frame, name, priors="sceptical", excluded="nobody")["estimate"]) / 2
        # The likelihood is normal to a few per cent of a standard error; sites are shrunken here and fixed there.
        assert found == pytest.approx(expected[name], abs=0.12 * ml.bse[name])
    # The test can tell: on InterMAT the prior's pull is more than twice the tolerance.
    assert abs(expected["intermat_z"] - ml.params["intermat_z"]) > 0.25 * ml.bse["intermat_z"]


def test_a_site_left_out_is_a_regression_without_it(frame, scored) -> None:
    own = scored[scored["site"] != "Essen"]
    ml = smf.logit(f"cbp ~ {TERMS} + C(site)", own).fit(disp=0)
    row = pick(frame, "lmm_z", priors="weak", excluded="site Essen")
    assert np.log(row["estimate"]) / 2 == pytest.approx(ml.params["lmm_z"], abs=0.25 * ml.bse["lmm_z"])
    assert row["n"] == len(own)
    assert row["events"] == own["cbp"].sum()


def test_the_model_as_it_stands_is_marked_and_is_the_plain_fit(frame, cohort) -> None:
    assert frame.attrs["specifications"] == 12
    assert set(frame.attrs["choices"]) == {"priors", "excluded"}
    standing = frame[frame["reference"]]
    assert len(standing) == 2
    plain = odds_ratios(fit_model("cbp_main", cohort, method="laplace", seed=1), terms=["intermat_z", "lmm_z"])
    np.testing.assert_allclose(standing["estimate"], plain["estimate"], rtol=1e-6)
    assert frame["certified"].all()


def test_each_definition_and_set_of_covariates_is_its_own_regression(cohort) -> None:
    frame = sensitivity(
        "cbp_main", cohort, ("weak",), (0.5,), leave_out_sites=False, adipose=("threshold", "mixture"),
        adjustment=("as specified", "without covariates"), reviewer=False,
    )  # fmt: skip
    assert frame["specification"].nunique() == 4
    columns = {"x": "intermat_mixture_percent", "w": "lmm_mixture_cm3_per_kg_m2"}
    table = cohort.assign(**{k: (cohort[c] - cohort[c].mean()) / cohort[c].std() for k, c in columns.items()})
    ml = smf.logit("cbp ~ x + w + C(site)", table).fit(disp=0)
    row = pick(frame, "intermat_z", adipose="mixture", adjustment="without covariates")
    assert np.log(row["estimate"]) / 2 == pytest.approx(ml.params["x"], abs=0.25 * ml.bse["x"])
    counts = frame.groupby("specification")["estimand"].value_counts().unstack()
    assert (counts[["odds ratio", "risk difference", "RERI"]] == [2, 2, 1]).all().all()


def test_a_specification_without_certificate_says_so(cohort, monkeypatch) -> None:
    import importlib

    module = importlib.import_module("muscle_bayes.estimands.one_specification")
    monkeypatch.setattr(module, "certificate", lambda fit: "k-hat is 0.9" if fit.model.priors.set == "weak" else "")
    only = {"site_sd": (0.5,), "adipose": ("threshold",), "leave_out_sites": False, "reviewer": False}
    frame = sensitivity("cbp_main", cohort, **only, estimands=("odds ratio",))
    failed = frame[frame["priors"] == "weak"]
    assert (failed["note"] == "k-hat is 0.9").all()
    assert not failed["certified"].any()
    assert failed["estimate"].isna().all()
    assert frame[frame["priors"] == "sceptical"]["estimate"].notna().all()
    assert frame.attrs["not_certified"] == 1
    shown = sensitivity("cbp_main", cohort, **only, estimands=("odds ratio",), allow_unconverged=True)
    assert shown["estimate"].notna().all()
    assert shown.attrs["not_certified"] == 1


def test_what_cannot_be_fitted_is_a_row_with_its_reason(cohort) -> None:
    poorer = cohort.drop(columns=["height_cm", "intermat_mixture_percent"])
    frame = sensitivity(
        "cbp_main", poorer, ("weak",), (0.5,), leave_out_sites=False, adipose=("threshold", "mixture"), reviewer=False,
        lean_muscle=("as specified", "volume / height²"),
    )  # fmt: skip
    notes = {key: set(part) for key, part in frame.groupby(["adipose", "lean_muscle"])["note"]}
    assert notes["threshold", "as specified"] == {""}
    (note,) = notes["threshold", "volume / height²"]
    assert "height_cm" in note
    (note,) = notes["mixture", "as specified"]
    assert "intermat_mixture_percent" in note
    assert frame.attrs["not_certified"] == 3
    rows = frame.groupby("specification")["estimand"].value_counts().unstack()
    assert (rows[["odds ratio", "risk difference", "RERI"]] == [2, 2, 1]).all().all()
    assert frame.loc[frame["note"] != "", "estimate"].isna().all()


def test_covariates_and_definitions_that_are_not_there_are_refused(cohort) -> None:
    model = load_model("cbp_main")
    assert "bmi_z" in with_adjustment(model, "with BMI", list(cohort)).parsed.names
    with pytest.raises(EstimandError, match="bmi_kg_m2"):
        with_adjustment(model, "with BMI", ["age_years"])
    with pytest.raises(EstimandError, match="no such choice"):
        with_adjustment(model, "with everything", list(cohort))
    with pytest.raises(EstimandError, match="intermat_mixture_percent"):
        with_adipose(model, "mixture", ["intermat_percent"])
    with pytest.raises(EstimandError, match="no persons"):
        sensitivity(model)
    with pytest.raises(EstimandError, match="no such choice"):
        sensitivity(model, cohort, lean_muscle=("volume per kilogram",))
    with pytest.raises(EstimandError, match="not followed"):
        sensitivity(model, cohort, estimands=("hazard ratio",))


def test_a_fit_does_not_let_in_published_priors_that_it_did_not_take(cohort) -> None:
    fitted = fit_model("cbp_main", cohort, method="laplace", seed=1, draws=400)
    frame = sensitivity(
        fitted, None, ("weak", "published"), (0.5,), False, ("threshold",), reviewer=False, estimands=("odds ratio",),
        workers=1, draws=400,
    )  # fmt: skip
    refused = frame[frame["priors"] == "published"]
    assert refused["note"].str.contains("used twice").all()
    assert refused["estimate"].isna().all()
    assert frame[frame["priors"] == "weak"]["estimate"].notna().all()


def test_followed_estimands_are_those_of_their_own_functions(cohort) -> None:
    for name in ("cbp_interaction", "cbp_sex"):
        fitted = fit_model(name, cohort, method="laplace", seed=1, draws=400)
        rows = summary_rows(fitted, followed(fitted))
        exposures = ["intermat_z", "lmm_z"]
        moved = risks(fitted, exposures)
        both = interaction(fitted, *exposures)
        expected = [
            odds_ratios(fitted, terms=exposures),
            moved[moved["estimand"] == "risk difference"],
            both[both["estimand"] == "RERI"],
        ]
        for own in expected:
            found = rows[rows["estimand"] == own["estimand"].iloc[0]]
            for column in ("estimate", "lower", "upper", "mcse"):
                np.testing.assert_allclose(found[column], own[column], rtol=1e-5, atol=1e-7)
            assert found["contrast"].tolist() == own["contrast"].tolist()
        assert not rows.duplicated(["estimand", "term"]).any()
