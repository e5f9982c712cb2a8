"""What reviewers ask for, each against the regression that its words say, by statsmodels on columns made by hand."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import sensitivity
from muscle_bayes.estimands.multiverse import RULES, combinations, in_order, reviewers, standing
from muscle_bayes.estimands.specifications import SITE_TERMS, with_age, with_fixed_site, with_priors
from muscle_bayes.simulation import simulate_cohort
from muscle_bayes.specification import load_model

COVARIATES = (
    "z(age_years) + C(sex, Treatment('female')) + C(activity, Treatment('moderate')) + diabetes + dyslipidemia + "
    "osteoporosis + osteoarthritis"
)


def z(x: pd.Series) -> pd.Series:
    return (x - x.mean()) / x.std()


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(n=3_000, seed=2)


@pytest.fixture(scope="module")
def frame(cohort):
    return sensitivity("cbp_main", cohort, ("weak",), (0.5,), leave_out_sites=False, adipose=("threshold",), workers=1)


@pytest.fixture(scope="module")
def offset_cohort(cohort):
    """Scanner offsets: InterMAT reads 4 points more at one site, and half as much again at another."""
    table = cohort.copy()
    table.loc[table["site"] == "Essen", "intermat_percent"] += 4
    table.loc[table["site"] == "Berlin", "intermat_percent"] *= 1.5
    return table


@pytest.fixture(scope="module")
def offset_frame(offset_cohort):
    return sensitivity(
        "cbp_main", offset_cohort, ("weak",), (0.5,), leave_out_sites=False, adipose=("threshold",), reviewer=False,
        site_term=SITE_TERMS, estimands=("odds ratio",), workers=1,
    )  # fmt: skip


def regression(table, exposures, covariates=COVARIATES):
    return smf.logit(f"cbp ~ {exposures} + {covariates} + C(site)", table).fit(disp=0)


def named(ml):
    return ml.params.index[ml.params.index.str.startswith(("z(intermat", "z(lmm"))]


def check(frame, ml, names, **where) -> None:
    """Odds ratios per 2 Z within a quarter of a standard error: priors pull by less than a tenth, draws by 0.04."""
    rows = frame[frame["estimand"] == "odds ratio"]
    for name, value in where.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 2
    assert rows["certified"].all()
    for term, column in zip(("intermat_z", "lmm_z"), names, strict=True):
        row = rows[rows["term"] == term].iloc[0]
        assert np.log(row["estimate"]) / 2 == pytest.approx(ml.params[column], abs=0.25 * ml.bse[column])
        spread = np.log(row["upper"] / row["lower"]) / 2 / 3.92
        assert spread == pytest.approx(ml.bse[column], rel=0.15)


def test_fixed_sites_are_dummies(offset_frame, offset_cohort) -> None:
    ml = regression(offset_cohort, "z(intermat_percent) + z(lmm_cm3_per_kg_m2)")
    check(offset_frame, ml, named(ml), site_term="fixed effect")


def test_within_site_associations_are_those_with_dummies(offset_frame, offset_cohort) -> None:
    # In a model with a dummy for each site, subtracting or adding the site's mean changes nothing: all three agree.
    ml = regression(offset_cohort, "z(intermat_percent) + z(lmm_cm3_per_kg_m2)")
    check(offset_frame, ml, named(ml), site_term="within and between")
    check(offset_frame, ml, named(ml), site_term="centred exposures")


def test_z_scores_within_site_take_its_own_sd(offset_frame, offset_cohort) -> None:
    by_site = offset_cohort.groupby("site")
    table = offset_cohort.assign(
        x=by_site["intermat_percent"].transform(z), w=by_site["lmm_cm3_per_kg_m2"].transform(z)
    )
    check(offset_frame, regression(table, "x + w"), ("x", "w"), site_term="Z within site")


@pytest.mark.parametrize(
    ("form", "column", "more"),
    [
        ("volume / height²", "lean_cm3 / height_cm ** 2", ""),
        ("volume beside height and weight", "lean_cm3", " + z(height_cm) + z(weight_kg)"),
    ],
)
def test_lean_muscle_without_a_ratio(frame, cohort, form, column, more) -> None:
    table = cohort.assign(x=z(cohort["intermat_percent"]), w=z(cohort.eval(column)))
    check(frame, regression(table, "x + w", COVARIATES + more), ("x", "w"), lean_muscle=form)


def test_lean_muscle_that_height_and_weight_do_not_account_for(frame, cohort) -> None:
    ols = smf.ols("np.log(lean_cm3) ~ np.log(height_cm) + np.log(weight_kg)", cohort).fit()
    table = cohort.assign(x=z(cohort["intermat_percent"]), w=z(ols.resid))
    check(frame, regression(table, "x + w"), ("x", "w"), lean_muscle="volume given height and weight")


def test_covariates_and_age(frame, cohort) -> None:
    table = cohort.assign(x=z(cohort["intermat_percent"]), w=z(cohort["lmm_cm3_per_kg_m2"]))
    names = ("x", "w")
    check(frame, regression(table, "x + w", COVARIATES + " + z(bmi_kg_m2)"), names, adjustment="with BMI")
    fewer = COVARIATES.replace(" + osteoporosis + osteoarthritis", " + z(bmi_kg_m2)")
    both = "with BMI, without osteoarthritis and osteoporosis"
    check(frame, regression(table, "x + w", fewer), names, adjustment=both)
    fewer = COVARIATES.replace(" + C(activity, Treatment('moderate'))", "")
    check(frame, regression(table, "x + w", fewer), names, adjustment="without physical activity")
    fewer = COVARIATES.split(" + diabetes")[0]
    check(frame, regression(table, "x + w", fewer), names, adjustment="without diagnoses")
    # Another basis of nearly the same curves.
    curved = COVARIATES.replace("z(age_years)", "bs(age_years, df=5)")
    check(frame, regression(table, "x + w", curved), names, age_term="spline")


def test_persons_left_out_leave_and_their_covariate_with_them(frame, cohort) -> None:
    table = cohort.assign(x=z(cohort["intermat_percent"]), w=z(cohort["lmm_cm3_per_kg_m2"]))
    own = table[table["osteoarthritis"] == 0]
    ml = regression(own, "x + w", COVARIATES.replace(" + osteoarthritis", ""))
    check(frame, ml, ("x", "w"), excluded="with osteoarthritis")
    rows = frame[frame["excluded"] == "BMI 35 or above"]
    assert (rows["n"] == (cohort["bmi_kg_m2"] < 35).sum()).all()
    assert set(frame["excluded"]) == {"nobody", *RULES}


def test_everything_a_reviewer_asks_for_is_there_once(frame) -> None:
    one = frame.drop_duplicates("specification")
    changed = one[[*frame.attrs["choices"]]]
    assert not changed.duplicated().any()
    standing_row = one[one["reference"]].iloc[0]
    differences = (changed != standing_row[changed.columns]).sum(axis=1)
    # A fixed site has no random effect, hence no prior of its SD: that row differs in two columns.
    fixed = one["site_term"] == "fixed effect"
    assert (differences[~one["reference"] & ~fixed] == 1).all()
    assert one["site_sd"].isna().tolist() == fixed.tolist()
    assert len(one) == 1 + 6 + 3 + 4 + 1 + 2 + 4


def test_wider_priors_are_the_normals_they_say() -> None:
    model = load_model("cbp_interaction")
    wide, own = with_priors(model, "twice as wide", None).normal_priors(), model.normal_priors()
    for term in ("intermat_z", "lmm_z", "intermat_z:lmm_z"):
        assert wide[term].sd == pytest.approx(2 * own[term].sd)
        assert wide[term].mean == pytest.approx(own[term].mean, abs=1e-12)
    assert wide["age_z"].sd == own["age_z"].sd
    assert with_priors(model, "weak", 1.0).priors.site_sd.half_normal == 1.0
    with pytest.raises(EstimandError, match="no such priors"):
        with_priors(model, "flat", None)


def test_combinations_come_once_and_by_design() -> None:
    models = [load_model("cbp_main"), load_model("cbp_interaction")]
    found = combinations(
        models, priors=["weak", "sceptical"], site_sd=[0.5, 1.0], excluded=["nobody", "site Essen"],
        adipose=["threshold", "fraction"], site_term=["as specified", "fixed effect"],
    )  # fmt: skip
    # With fixed sites the scale of the SD's prior is no choice.
    assert len(found) == 2 * 2 * 2 * (2 * 2 + 2)
    assert len(set(found)) == len(found)
    ordered = in_order([*found[::-1], *found])
    assert set(ordered) == set(found)
    assert len(ordered) == len(found)
    designs = [one.design for one in ordered]
    assert sum(a != b for a, b in pairwise(designs)) == len(set(designs)) - 1
    assert standing(models[0]) in found


def test_a_model_without_covariates_or_site_is_not_asked_for_what_it_lacks() -> None:
    table = simulate_cohort(n=200, seed=1)
    model = load_model("cbp_unadjusted").model_copy(update={"formula": "cbp ~ intermat_z + lmm_z"})
    asked, rules = reviewers(model, table.drop(columns="osteoporosis"))
    assert {one.adjustment for one in asked} == {"as specified", "with BMI"}
    assert {one.site_term for one in asked} == {"as specified"}
    assert {one.age_term for one in asked} == {"as specified"}
    assert "with osteoporosis" not in rules
    with pytest.raises(EstimandError, match="no straight line of age"):
        with_age(model, "spline")


def test_a_single_site_that_is_left_has_no_dummies() -> None:
    model = load_model("cbp_main")
    assert "site" not in with_fixed_site(model, "site", ["Essen"]).formula
    assert with_fixed_site(model, "site", ["Berlin", "Essen"]).levels["site"] == ["Berlin", "Essen"]
