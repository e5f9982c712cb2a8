"""Estimands of models with slopes that vary by group, against sums written out by hand."""

import json
import shutil
import subprocess
from html import unescape

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.linear_predictor import linear_predictor, new_effects
from muscle_bayes.estimands.predictive import predictive
from muscle_bayes.estimands.standardisation import mean_risks
from muscle_bayes.plots import forest, nomogram_html

SITE, SLOPE_FAT, SLOPE_LEAN = 0, 1, 2


@pytest.fixture(scope="module")
def fit(small_table: pd.DataFrame) -> mb.Fit:
    """Slopes by site; its prior SD is large so that sites differ to be seen."""
    model = mb.load_model("cbp_site_slopes")
    wide = model.priors.slope_sd.model_copy(update={"half_normal": 1.0})
    model = model.model_copy(update={"priors": model.priors.model_copy(update={"slope_sd": wide})})
    return mb.fit(model, small_table, method="laplace", draws=1000)


@pytest.fixture(scope="module")
def by_disease(small_table: pd.DataFrame) -> mb.Fit:
    return mb.fit("cbp_subgroups", small_table, method="laplace", draws=1000)


def log_odds(fit: mb.Fit, persons: pd.DataFrame, extra: list[np.ndarray]) -> np.ndarray:
    """Log odds (S, n) with given intercept and slopes of InterMAT and LMM beside the average ones, each (S, n) or (S, 1)."""
    z = fit.recipe.standardise(persons)
    b, X = fit.coefficients(), fit.recipe.matrix(persons)
    fat, lean = z["intermat_z"].to_numpy(), z["lmm_z"].to_numpy()
    return b[:, :1] + b[:, 1:] @ X.T + extra[0] + extra[1] * fat + extra[2] * lean


def test_risks_of_known_typical_and_new_sites_are_the_plain_averages(fit: mb.Fit) -> None:
    persons = fit.cohort.head(300)
    site = fit.recipe.site_index(persons)
    fresh, zero = new_effects(fit), np.zeros((1, 1))
    extra = {
        "known": [effects[:, site] for effects in fit.group_effects()],
        "typical": [zero] * 3,
        "new": [fresh[:, [t]] for t in range(3)],
    }
    moved = [persons.assign(intermat_z=persons["intermat_z"] + step) for step in (-1.0, 1.0)]
    designs = [fit.recipe.matrix(frame) for frame in moved]
    for name, effects in extra.items():
        got = mean_risks(fit, designs, site=name, site_index=fit.recipe.group_index(persons))
        for k, frame in enumerate(moved):
            expected = expit(log_odds(fit, frame, effects)).mean(axis=1)
            np.testing.assert_allclose(got[:, 0, k], expected, atol=2e-6)
    # One new site for all persons: a draw of its intercept and slopes, of the SDs that the fit has.
    ratio = fresh / fit.group_sds()
    assert (abs(ratio.mean(axis=0)) < 4.5 / np.sqrt(1000)).all()
    assert (abs(np.corrcoef(ratio.T)[np.triu_indices(3, 1)]) < 4.5 / np.sqrt(1000)).all()


def test_marginal_risks_are_integrals_over_all_three_effects(fit: mb.Fit) -> None:
    """The sum of the three effects of one person is normal: one integral by quadrature for each person and draw."""
    persons = fit.cohort.head(12)
    z, sds = fit.recipe.standardise(persons), fit.group_sds()
    eta = log_odds(fit, persons, [np.zeros((1, 1))] * 3)
    weights = np.column_stack([np.ones(12), z["intermat_z"], z["lmm_z"]])
    got = mean_risks(fit, [fit.recipe.matrix(persons)], site="marginal")[:, 0, 0]
    whole = linear_predictor(fit, fit.recipe.matrix(persons), site="marginal").probabilities()
    for s in (0, 400, 999):
        spread = np.sqrt((weights**2) @ sds[s] ** 2)
        each = [
            quad(lambda u, e=e, sd=sd: expit(e + sd * u) * norm.pdf(u), -9, 9)[0]
            for e, sd in zip(eta[s], spread, strict=True)
        ]
        np.testing.assert_allclose(whole[s], each, atol=1e-6)
        assert got[s] == pytest.approx(np.mean(each), abs=2e-6)
    # Two ages, which have no slope by site, are computed together, and each is what it is alone; in groups likewise.
    ages, groups = [fit.recipe.matrix(persons.assign(age_z=age)) for age in (-1.0, 1.0)], np.arange(12) % 3
    both = mean_risks(fit, ages, site="marginal", groups=groups)
    for k, X in enumerate(ages):
        alone = linear_predictor(fit, X, site="marginal").probabilities()
        for g in range(3):
            np.testing.assert_allclose(both[:, g, k], alone[:, groups == g].mean(axis=1), atol=2e-6)


def test_odds_ratios_by_site_add_the_sites_slope(fit: mb.Fit) -> None:
    frame = mb.odds_ratios(fit, by="site")
    b, effects = fit.coefficients(), fit.group_effects()
    own = frame[frame["term"] == "lmm_z"].set_index("group")
    assert list(own.index) == ["average", *fit.recipe.site_levels, "new"]
    slope = 1 + [column.label for column in fit.recipe.columns].index("lmm_z")
    for j, site in enumerate(fit.recipe.site_levels):
        log_or = 2 * (b[:, slope] + effects[SLOPE_LEAN][:, j])
        assert own.loc[site, "estimate"] == pytest.approx(np.exp(np.median(log_or)), rel=1e-3)
        assert own.loc[site, "prob_gt_null"] == np.mean(log_or > 0)
        assert own.loc[site, "n"] == (fit.cohort["site"] == site).sum()
        assert own.loc[site, "events"] == fit.cohort.loc[fit.cohort["site"] == site, "cbp"].sum()
    plain = mb.odds_ratios(fit, terms=["lmm_z"]).iloc[0]
    assert own.loc["average", "estimate"] == plain["estimate"]
    assert plain["site"] == "average over site"
    fresh = np.exp(2 * (b[:, slope] + new_effects(fit)[:, SLOPE_LEAN]))
    assert own.loc["new", "upper"] == pytest.approx(np.quantile(fresh, 0.975), rel=1e-9)
    assert own.loc["new", "upper"] / own.loc["new", "lower"] > own.loc["average", "upper"] / own.loc["average", "lower"]
    with pytest.raises(EstimandError, match="do not vary over it"):
        mb.odds_ratios(fit, by="sex")
    with pytest.raises(EstimandError, match="does not vary"):
        mb.odds_ratios(fit, by="site", terms=["age_z"])


def test_a_group_of_predictors_belongs_to_the_person_and_moves_with_them(by_disease: mb.Fit) -> None:
    fit = by_disease
    factor = fit.recipe.factors[1]
    assert factor.levels == ("0:0", "0:1", "1:0", "1:1")
    persons = fit.cohort.head(200)
    zero = np.zeros((1, 1))
    for disease in (0.0, 1.0):
        moved = persons.assign(osteoarthritis=disease)
        group = [factor.levels.index(f"{disease:.0f}:{value:.0f}") for value in persons["osteoporosis"]]
        slopes = [effects[:, group] for effects in fit.group_effects()[1:]]
        expected = expit(log_odds(fit, moved, [zero, *slopes])).mean(axis=1)
        got = mean_risks(fit, [fit.recipe.matrix(moved)], site="typical")[:, 0, 0]
        np.testing.assert_allclose(got, expected, atol=2e-6)
    frame = mb.odds_ratios(fit, by=factor.name)
    assert "new" not in set(frame["group"])
    assert set(frame["group_label"]) >= {"Osteoarthritis no, Osteoporosis yes"}


def test_checks_of_the_model_take_the_sites_slopes(fit: mb.Fit) -> None:
    checked = predictive(fit, draws=50, check="test")
    site = fit.recipe.site_index(fit.cohort)
    kept = np.unique(np.linspace(0, 999, 50).round().astype(int))
    expected = log_odds(fit, fit.cohort, [effects[:, site] for effects in fit.group_effects()])[kept]
    np.testing.assert_allclose(checked.log_odds(slice(0, None), np.float64), expected, atol=1e-9)


def test_a_persons_prediction_takes_the_sites_slopes(fit: mb.Fit) -> None:
    persons = fit.cohort.head(3)
    berlin = list(fit.recipe.site_levels).index("Berlin")
    made = mb.nomogram(fit, site="known", site_name="Berlin")
    eta = log_odds(fit, persons, [effects[:, [berlin]] for effects in fit.group_effects()])
    predicted = made.predict(persons.drop(columns="site"))
    np.testing.assert_allclose(predicted["lower"], np.quantile(expit(eta), 0.025, axis=0), rtol=1e-9)
    # The points are the site's: a person's total and the scale's way back give the site's posterior mean log odds.
    mean = log_odds(fit, persons, [np.zeros((1, 1)), *(e[:, [berlin]] for e in fit.group_effects()[1:])]).mean(axis=0)
    np.testing.assert_allclose(made.system.linear_predictor(predicted["total_points"]), mean, rtol=1e-9)
    marginal = mb.nomogram(fit, site="marginal")
    assert marginal.scale["estimate"].between(0, 1).all()
    with pytest.raises(EstimandError, match="every site"):
        made.embedded()


def test_points_that_depend_on_the_group_are_refused(by_disease: mb.Fit) -> None:
    with pytest.raises(EstimandError, match="are predictors themselves"):
        mb.nomogram(by_disease)


def test_the_page_computes_the_slopes_of_known_and_new_sites(fit: mb.Fit, tmp_path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    persons = fit.cohort.head(4)
    page = nomogram_html(mb.nomogram(fit), draws=100)
    script = """
      const out = PERSONS.map((p) => ["new", "known"].map((s) => Array.from(nomogram.probabilities(p, s, p.site))));
      document.body.append(Object.assign(document.createElement("pre"), { id: "out", textContent: JSON.stringify(out) }));
    """.replace("PERSONS", persons[[*fit.recipe.raw_columns, "site"]].to_json(orient="records"))
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    settings = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]
    command = [browser, *settings, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    got = np.array(json.loads(unescape(shown.partition('id="out">')[2].partition("</pre>")[0])))
    kept = np.unique(np.linspace(0, 999, 100).round().astype(int))
    fresh, site = new_effects(fit), fit.recipe.site_index(persons)
    new = expit(log_odds(fit, persons, [fresh[:, [t]] for t in range(3)]))[kept]
    known = expit(log_odds(fit, persons, [effects[:, site] for effects in fit.group_effects()]))[kept]
    np.testing.assert_allclose(got, np.stack([new.T, known.T], axis=1), atol=1e-9)


def test_priors_of_slopes_are_drawn_as_they_are_stated(small_table: pd.DataFrame) -> None:
    """OR per 2 Z of a site at +1 SD against one at -1 SD: exp(2 x SD of the log OR), whose SD is half-normal 0.25."""
    frame = mb.prior_predictive("cbp_site_slopes", small_table, draws=2000)
    row = frame[frame["estimand"] == "prior ratio of odds ratios"].iloc[0]
    assert row["estimate"] == pytest.approx(np.exp(2 * 0.25 * norm.ppf(0.75)), rel=0.01)
    assert row["upper"] == pytest.approx(np.exp(2 * 0.25 * norm.ppf(0.9875)), rel=0.02)


@pytest.mark.parametrize("width", [85, 180])
def test_the_forest_by_site_draws_every_group(fit: mb.Fit, width: int) -> None:
    frame = mb.odds_ratios(fit, by="site")
    figure = forest(frame, width_mm=width)
    for ax, term in zip(figure.axes, ("intermat_z", "lmm_z"), strict=True):
        squares = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "s"]
        np.testing.assert_allclose(squares, frame.loc[frame["term"] == term, "estimate"])


def test_maximum_likelihood_gives_a_group_no_interval(small_table: pd.DataFrame) -> None:
    ml = mb.fit("cbp_site_slopes", small_table, method="ml")
    frame = mb.odds_ratios(ml, by="site").set_index(["term", "group"])
    assert "new" not in frame.index.get_level_values("group")
    assert np.isnan(frame.loc[("lmm_z", "Berlin"), "lower"])
    plain = mb.odds_ratios(ml, terms=["lmm_z"]).iloc[0]
    np.testing.assert_allclose(
        frame.loc[("lmm_z", "average"), ["estimate", "lower", "upper"]].to_numpy(float),
        plain[["estimate", "lower", "upper"]].to_numpy(float),
    )
    assert mb.risks(ml, site="marginal")["estimate"].notna().all()
