"""Published priors: the paper's numbers widened, for the same regression only, and never on the data they came from."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import muscle_bayes as mb
from muscle_bayes.errors import ModelFileError, PriorError
from muscle_bayes.specification.published import published_priors, published_source


@pytest.mark.parametrize(
    ("model", "exposure", "odds_ratio", "lower", "upper"),
    [
        ("cbp_main", "intermat_z", 1.22, 1.13, 1.30),
        ("cbp_interaction", "lmm_z", 0.87, 0.79, 0.95),
        ("pain_nrs4", "lmm_z", 0.63, 0.57, 0.70),
    ],
)
def test_is_the_published_estimate_with_twice_its_standard_error(
    model: str, exposure: str, odds_ratio: float, lower: float, upper: float
) -> None:
    prior = mb.load_model(model).with_priors("published").normal_priors()[exposure]
    error = (np.log(upper) - np.log(lower)) / (2 * stats.norm.ppf(0.975))
    assert 2 * prior.mean == pytest.approx(np.log(odds_ratio), rel=1e-12)
    assert 2 * prior.sd == pytest.approx(2 * error, rel=1e-12)
    assert "Ziegelmayer" in prior.reason


def test_what_is_not_published_stays_as_it_was() -> None:
    weak = mb.load_model("cbp_interaction")
    published = weak.with_priors("published")
    for term, prior in weak.normal_priors().items():
        if term not in ("intermat_z", "lmm_z"):
            assert published.normal_priors()[term] == prior
    assert published.priors.site_sd == weak.priors.site_sd


def test_numbers_are_those_of_the_reference_file() -> None:
    path = Path(__file__).resolve().parents[3] / "shared" / "reference" / "ziegelmayer2025.toml"
    if not path.is_file():
        pytest.skip("no ../shared/reference beside the project")
    reference = tomllib.loads(path.read_text())
    ours = published_source()["odds_ratios"]
    for event, table in (
        ("cbp == 1", "adjusted_odds_ratio_per_2_z"),
        ("pain_nrs >= 4", "adjusted_odds_ratio_per_2_z_pain_intensity_nrs_4_or_more"),
    ):
        for column, name in (("intermat_percent", "intermat"), ("lmm_cm3_per_kg_m2", "lmm")):
            assert ours[event][column] == {"per": 2, **reference[table][name]}
    assert published_source()["sites"] == reference["sites"]["names"]


def test_applies_to_the_same_outcome_exposures_and_adjustment_only() -> None:
    with pytest.raises(PriorError, match="adjusted for age_years, sex, diabetes"):
        mb.load_model("cbp_unadjusted").with_priors("published")
    with pytest.raises(PriorError, match="activity"):
        mb.load_model("cbp_activity").with_priors("published")
    main = mb.load_model("cbp_main").model_dump(by_alias=True)
    with pytest.raises(PriorError, match="pain_nrs > 5"):
        mb.Model.model_validate(main | {"event": "pain_nrs > 5"}).with_priors("published")
    tables = {key: {k: v for k, v in main[key].items() if k != "lmm_z"} for key in ("standardise", "exposures")}
    alone = mb.Model.model_validate(main | {"formula": main["formula"].replace("+ lmm_z ", ""), **tables})
    with pytest.raises(PriorError, match="adjusted for lmm_cm3_per_kg_m2"):
        alone.with_priors("published")
    only_lmm = mb.Model.model_validate(main | {"exposures": {"lmm_z": main["exposures"]["lmm_z"]}})
    assert set(published_priors(only_lmm)) == {"lmm_z"}
    with pytest.raises(PriorError):
        mb.Model.model_validate(
            mb.load_model("cbp_unadjusted").model_dump(by_alias=True) | {"priors": {"set": "published"}}
        )


def test_priors_of_ones_own_are_checked_against_the_formula() -> None:
    main = mb.load_model("cbp_main")
    own = main.priors.model_copy(update={"terms": {"lmm": main.priors.adjustment}})
    with pytest.raises(ModelFileError, match="'lmm'"):
        main.with_priors(own)
    with pytest.raises(ModelFileError, match="published"):
        main.with_priors("flat")


def test_written_out_by_term_the_priors_are_the_same() -> None:
    from muscle_bayes.specification.published import stated_by_term

    published = mb.load_model("cbp_interaction").with_priors("published")
    assert stated_by_term(published).priors.set == "weak"
    assert stated_by_term(published).normal_priors() == published.normal_priors()
    weak = mb.load_model("cbp_main")
    assert stated_by_term(weak) is weak


def test_subgroups_of_a_forced_fit_keep_its_priors(small_table: pd.DataFrame) -> None:
    """Within a sex the model has no term for sex, so that `published` itself would not apply.

    Half the persons have a standard error of about 0.2 per 2 Z of LMM, the prior an SD of 0.094: an interval wider than the
    prior's own would mean that the prior was lost.
    """
    fit = mb.fit("cbp_main", small_table, method="laplace", priors="published", force_published=True)
    frame = mb.subgroups(fit, by=["sex"], pooled=False)
    rows = frame[(frame["term"] == "lmm_z") & (frame["estimand"] == "odds ratio") & frame["estimate"].notna()]
    assert len(rows) == 3
    prior = fit.model.normal_priors()["lmm_z"]
    width = np.log(rows["upper"] / rows["lower"])
    assert (width < 2 * stats.norm.ppf(0.975) * 2 * prior.sd).all()


def _elsewhere(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as if it were of real people of another study."""
    table = table.drop(columns="simulated").assign(site=table["site"].map(lambda site: f"Centre {site[0]}"))
    table.attrs = {}
    return table


def test_refused_where_the_data_would_be_used_twice(small_table: pd.DataFrame) -> None:
    real = _elsewhere(small_table)
    nako = small_table.drop(columns="simulated")
    nako.attrs = {}
    for table, arguments, reason in (
        (small_table, {}, "simulated from the published figures"),
        (nako, {}, "its sites Augsburg, Berlin, Essen, Mannheim, Neubrandenburg"),
        (nako.assign(site=nako["site"].where(nako["site"] == "Essen", "Ulm").replace("Essen", " ESSEN")), {}, ""),
        (real, {"overlaps_nako": True}, "also in Ziegelmayer"),
        (real, {}, ""),
    ):
        if not reason:
            fit = mb.fit("cbp_main", table, method="laplace", priors="published", **arguments)
            assert not any("used twice" in finding.text for finding in fit.diagnostics.findings)
            continue
        with pytest.raises(PriorError, match=reason):
            mb.fit("cbp_main", table, method="laplace", priors="published", **arguments)
        mb.fit("cbp_main", table, method="ml", priors="published", **arguments)
        forced = mb.fit("cbp_main", table, method="laplace", priors="published", force_published=True, **arguments)
        assert [f.kind for f in forced.diagnostics.findings if "data used twice" in f.text and reason in f.text] == [
            "warning"
        ]
        assert "data used twice" in repr(forced)


def test_bambi_and_pymc_models_are_refused_too(small_table: pd.DataFrame) -> None:
    model = mb.load_model("cbp_main").with_priors("published")
    for build in (model.to_bambi, model.to_pymc):
        with pytest.raises(PriorError, match="used twice"):
            build(small_table)
    bambi = model.to_bambi(small_table, force_published=True)
    bambi.build()
    args = bambi.parameters["p"].terms["intermat_z"].prior.args
    assert float(np.squeeze(args["mu"])) == pytest.approx(np.log(1.22) / 2, rel=1e-12)


def test_posterior_is_the_precision_weighted_mean_of_data_and_prior(small_table: pd.DataFrame) -> None:
    """Against a normal likelihood from the maximum (without sites, so that nothing else differs).

    2,000 persons: the likelihood's skewness moves means by a few hundredths of an SD, Monte Carlo error is 0.02.
    """
    main = mb.load_model("cbp_main").model_dump(by_alias=True)
    model = mb.Model.model_validate(main | {"formula": main["formula"].replace(" + (1|site)", "")})
    table = _elsewhere(small_table)
    found = mb.fit(model, table, method="ml").maximum
    fit = mb.fit(model, table, method="laplace", priors="published")
    priors = fit.model.normal_priors()
    mean = np.array([priors[column.term].mean for column in fit.recipe.columns])
    weight = np.diag([priors[column.term].sd ** -2 for column in fit.recipe.columns])
    # The intercept's prior is for the centred design, where it is all but independent of the slopes.
    information = np.linalg.inv(found.covariance[1:, 1:])
    covariance = np.linalg.inv(information + weight)
    expected = covariance @ (information @ found.coefficients[1:] + weight @ mean)
    error = np.sqrt(np.diag(covariance))
    draws = fit.coefficients()[:, 1:]
    assert (abs(draws.mean(axis=0) - expected) < 0.15 * error).all()
    np.testing.assert_allclose(draws.std(axis=0), error, rtol=0.08)
    lmm = [column.label for column in fit.recipe.columns].index("lmm_z")
    assert abs(expected[lmm] - found.coefficients[1 + lmm]) > 0.3 * error[lmm], "the prior must have moved something"
