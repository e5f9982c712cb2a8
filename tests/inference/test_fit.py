"""A fit is what it says: Bambi's names, a posterior that other engines agree with, a gate that closes."""

import bambi as bmb
import numpy as np
import pandas as pd
import pytest
from arviz_stats.base import array_stats
from scipy import stats

import muscle_bayes as mb
from muscle_bayes.errors import InvalidValueError, UnconvergedFitError
from muscle_bayes.inference.diagnostics import chain_findings, design_findings, parameter_arrays, summarise_parameters
from muscle_bayes.inference.draws import Draws


def test_posterior_carries_bambis_names_and_coordinates(small_fit: mb.Fit, small_table: pd.DataFrame) -> None:
    bambi = small_fit.model.to_bambi(small_table)
    bambi.build()
    graph = bambi.backend.model
    posterior = small_fit.posterior["posterior"]
    named = {variable.name for variable in graph.unobserved_RVs} - {"p", "1|site_offset"}
    assert set(posterior.data_vars) == named
    for name in named:
        dims = graph.named_vars_to_dims.get(name) or ()
        assert posterior[name].dims == ("chain", "draw", *dims)
        for dim in dims:
            assert [str(value) for value in posterior[name].coords[dim].values] == [
                str(value) for value in graph.coords[dim]
            ]
    assert posterior.sizes["chain"] == 4
    assert posterior.sizes["draw"] == 1000


def test_bambi_predicts_from_our_posterior_what_we_predict(small_fit: mb.Fit, small_table: pd.DataFrame) -> None:
    bambi = small_fit.model.to_bambi(small_table)
    bambi.build()
    persons = small_fit.cohort.head(25)
    draws = small_fit.posterior.isel(draw=slice(0, 50))
    predicted = bambi.predict(draws, data=persons, kind="response_params", inplace=False)["posterior"]["p"]
    coefficients = small_fit.coefficients().reshape(4, 1000, -1)[:, :50]
    effects = small_fit.site_effects().reshape(4, 1000, -1)[:, :50]
    X, site = small_fit.recipe.matrix(persons), small_fit.recipe.site_index(persons)
    log_odds = coefficients[..., :1] + coefficients[..., 1:] @ X.T + effects[..., site]
    np.testing.assert_allclose(predicted.to_numpy(), 1 / (1 + np.exp(-log_odds)), rtol=1e-10)


def test_log_density_of_the_pymc_model(small_table: pd.DataFrame) -> None:
    """PyMC's graph against priors and likelihood written with SciPy."""
    model = mb.load_model("cbp_interaction")
    table = small_table.head(300)
    design = model.design(table)
    graph = model.to_pymc(table)
    priors = model.normal_priors()
    rng = np.random.default_rng(1)
    levels = {column.term for column in design.recipe.columns if column.level is not None}
    value = {
        name: rng.normal(0, 0.5) for name in ("Intercept_centered", *(":".join(term) for term in design.recipe.terms))
    }
    value |= {term: rng.normal(0, 0.5, sum(c.term == term for c in design.recipe.columns)) for term in levels}
    log_sd, offset = -1.0, rng.normal(size=5)

    beta = np.concatenate([np.atleast_1d(value[term]) for term in dict.fromkeys(c.term for c in design.recipe.columns)])
    log_odds = value["Intercept_centered"] + design.X @ beta + np.exp(log_sd) * offset[design.site]
    expected = stats.bernoulli(1 / (1 + np.exp(-log_odds))).logpmf(design.y.astype(int)).sum()
    expected += stats.norm(priors["intercept"].mean, priors["intercept"].sd).logpdf(value["Intercept_centered"])
    for column, coefficient in zip(design.recipe.columns, beta, strict=True):
        expected += stats.norm(priors[column.term].mean, priors[column.term].sd).logpdf(coefficient)
    expected += stats.halfnorm(scale=0.5).logpdf(np.exp(log_sd)) + log_sd + stats.norm.logpdf(offset).sum()

    point = {**value, "1|site_sigma_log__": log_sd, "1|site_offset": offset}
    assert set(point) == set(graph.initial_point())
    assert float(graph.compile_logp()(point)) == pytest.approx(expected, rel=1e-10)


@pytest.fixture(scope="module")
def pymc_fit(small_table: pd.DataFrame) -> mb.Fit:
    return mb.fit("cbp_main", small_table, method="pymc", seed=1)


@pytest.mark.parametrize("method", ["laplace", "nuts"])
def test_our_engines_agree_with_pymc(pymc_fit: mb.Fit, small_table: pd.DataFrame, method: str) -> None:
    """Means and SDs of 17 parameters within 4.5 joint Monte Carlo standard errors: 34 comparisons, right in > 99.9 %."""
    assert pymc_fit.diagnostics.passed, pymc_fit.diagnostics
    fit = mb.fit("cbp_main", small_table, method=method, seed=1)
    assert fit.diagnostics.passed, fit.diagnostics
    ours, theirs = fit.summary(), pymc_fit.summary()
    assert list(ours.index) == list(theirs.index)
    error = np.hypot(ours["mcse_mean"], theirs["mcse_mean"])
    assert (abs(ours["mean"] - theirs["mean"]) < 4.5 * error).all()
    spread = np.hypot(_error_of_sd(fit), _error_of_sd(pymc_fit))
    assert (abs(ours["sd"] - theirs["sd"]) < 4.5 * spread).all()


def _error_of_sd(fit: mb.Fit) -> np.ndarray:
    """Monte Carlo standard error of each parameter's SD, by the delta method on its squared deviations."""
    errors = []
    for values in parameter_arrays(fit._draws, fit.recipe).values():
        squares = (values - values.mean()) ** 2
        ess = fit.weights_ess or array_stats.ess(squares, chain_axis=0, draw_axis=1, method="mean")
        errors.append(squares.std() / np.sqrt(ess) / (2 * values.std()))
    return np.array(errors)


def test_monte_carlo_error_is_what_repetition_shows(small_table: pd.DataFrame) -> None:
    """Over seeds 1 to 20 the medians scatter as `mcse` says.

    With 20 seeds the ratio of observed to stated SD, averaged over 12 coefficients, has a standard error below
    1 / sqrt(2 x 19) = 0.16 even if they all moved together; 0.5 to 1.5 is 3 of these.
    """
    fits = [mb.fit("cbp_main", small_table, method="laplace", seed=seed) for seed in range(1, 21)]
    medians = np.array([np.median(fit.coefficients(), axis=0) for fit in fits])
    stated = np.mean([fit.mcse(fit.coefficients()) for fit in fits], axis=0)
    assert 0.5 < np.mean(medians.std(axis=0, ddof=1) / stated) < 1.5


def test_auto_hands_over_to_nuts_and_says_so(monkeypatch: pytest.MonkeyPatch, small_table: pd.DataFrame) -> None:
    """With a certificate that asks for more effective draws than there are draws, `auto` must sample."""
    from muscle_bayes.inference import adapters

    real = adapters.laplace_posterior
    strict = lambda problem, draws, seed, least_ess: real(problem, draws, seed, least_ess=1e9)  # noqa: E731
    monkeypatch.setattr(adapters, "laplace_posterior", strict)
    fit = mb.fit("cbp_main", small_table, method="auto")
    assert fit.method == "nuts"
    assert any("not certified: effective draws" in finding.text for finding in fit.diagnostics.findings)
    refused = mb.fit("cbp_main", small_table, method="laplace")
    assert refused.method == "laplace"
    with pytest.raises(UnconvergedFitError, match="not certified"):
        refused.require_converged()
    refused.require_converged(allow_unconverged=True)
    assert refused.provenance()["converged"] is False


def test_maximum_likelihood_agrees_with_statsmodels(small_table: pd.DataFrame) -> None:
    """Without a site term the marginal likelihood is the plain one, which statsmodels maximises too."""
    import statsmodels.formula.api as smf

    formula = "cbp ~ intermat_z + lmm_z + sex + diabetes"
    standardise = {"intermat_z": {"from": "intermat_percent"}, "lmm_z": {"from": "lmm_cm3_per_kg_m2"}}
    fit = mb.fit(mb.Model(formula=formula, standardise=standardise), small_table, method="ml")
    frame = fit.cohort.assign(male=(fit.cohort["sex"] == "male").astype(float), cbp=small_table["cbp"])
    theirs = smf.logit("cbp ~ intermat_z + lmm_z + male + diabetes", frame).fit(disp=0, tol=1e-12)
    np.testing.assert_allclose(fit.maximum.coefficients, theirs.params, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(fit.maximum.covariance, theirs.cov_params(), rtol=1e-4, atol=1e-8)
    assert fit.maximum.log_likelihood == pytest.approx(theirs.llf, rel=1e-10)
    drawn = fit.coefficients()
    assert drawn.shape == (4000, 5)
    error = np.sqrt(np.diag(fit.maximum.covariance) / 4000)
    assert (abs(drawn.mean(axis=0) - fit.maximum.coefficients) < 4.5 * error).all()
    assert np.isnan(fit.mcse(drawn)).all()


def _chained(rng: np.random.Generator, shift: float, recipe: object) -> Draws:
    base = rng.normal(size=(4, 500))
    return Draws(base + shift * np.arange(4)[:, None], np.empty((4, 500, 0)), (), ())


def test_gate_closes_on_chains_that_disagree(small_fit: mb.Fit) -> None:
    from dataclasses import replace

    empty = replace(small_fit.recipe, columns=(), terms=(), factors=(), varying=())
    rng = np.random.default_rng(1)
    good = summarise_parameters(_chained(rng, 0.0, empty), empty)
    assert chain_findings(good, divergences=0, bfmi=1.0) == []
    bad = summarise_parameters(_chained(rng, 1.0, empty), empty)
    assert {finding.text.split(":")[0] for finding in chain_findings(bad, divergences=3, bfmi=0.1)} >= {
        "the chains disagree",
        "3 divergent transitions",
        "BFMI 0.10 is below 0.3",
    }


def test_findings_about_the_design(small_table: pd.DataFrame) -> None:
    model = mb.load_model("cbp_main")
    texts = lambda table: " ".join(f.text for f in design_findings(model.design(table)))  # noqa: E731
    assert "5 sites tell little" in texts(small_table)
    assert "quasi-separation" not in texts(small_table)
    assert "quasi-separation: a cell of osteoporosis" in texts(
        small_table[(small_table["osteoporosis"] == 0) | (small_table["cbp"] == 1)]
    )
    assert "collinearity" in texts(small_table.assign(dyslipidemia=lambda t: t["diabetes"] + 1e-6 * t["age_years"]))
    assert "site Essen: 0 events" in texts(small_table.assign(cbp=lambda t: t["cbp"].where(t["site"] != "Essen", 0)))
    assert "never happens" in texts(small_table.assign(cbp=0))
    assert "few data" not in texts(small_table)
    assert "few data: 20 events for 11 coefficients" in texts(
        pd.concat([small_table[small_table["cbp"] == 0], small_table[small_table["cbp"] == 1].head(20)])
    )


def test_an_outcome_that_does_not_vary_closes_the_gate(small_table: pd.DataFrame) -> None:
    fit = mb.fit("cbp_main", small_table.assign(cbp=0), method="laplace")
    with pytest.raises(UnconvergedFitError, match="never happens among 2000 participants"):
        mb.odds_ratios(fit)


def test_separation_closes_the_gate_of_a_maximum_and_only_warns_where_there_are_priors(
    small_table: pd.DataFrame,
) -> None:
    separated = small_table[(small_table["osteoporosis"] == 0) | (small_table["cbp"] == 1)]
    model = mb.Model(formula="cbp ~ osteoporosis + age_years")
    ml = mb.fit(model, separated, method="ml")
    assert any("has no finite estimate" in finding.text for finding in ml.diagnostics.findings)
    with pytest.raises(UnconvergedFitError, match="osteoporosis"):
        ml.require_converged()
    bayes = mb.fit(model, separated, method="laplace")
    assert bayes.diagnostics.passed
    assert any("rests on its prior" in finding.text for finding in bayes.diagnostics.findings)


@pytest.mark.parametrize("method", ["laplace", "nuts", "ml"])
def test_a_model_without_a_site_or_without_predictors(small_table: pd.DataFrame, method: str) -> None:
    """With an intercept alone the odds are those of the prevalence, up to the width of the posterior."""
    fit = mb.fit(mb.Model(formula="cbp ~ 1"), small_table, method=method)
    share = small_table["cbp"].mean()
    error = 1 / np.sqrt(len(small_table) * share * (1 - share))
    assert fit.coefficients().shape == (4000, 1)
    assert abs(fit.coefficients().mean() - np.log(share / (1 - share))) < 0.2 * error
    assert fit.coefficients().std() == pytest.approx(error, rel=0.1)
    assert fit.recipe.matrix(small_table.head(3)).shape == (3, 0)


def test_arguments(small_table: pd.DataFrame) -> None:
    with pytest.raises(InvalidValueError, match="draws"):
        mb.fit("cbp_main", small_table, draws=4001)
    with pytest.raises(InvalidValueError, match="vb"):
        mb.fit("cbp_main", small_table, method="vb")


def test_bambi_is_a_real_model(small_table: pd.DataFrame) -> None:
    model = mb.load_model("cbp_interaction").to_bambi(small_table)
    assert isinstance(model, bmb.Model)
    model.build()
    sigma = model.parameters["p"].terms["intermat_z"].prior.args["sigma"]
    assert float(np.squeeze(sigma)) == pytest.approx(np.log(5) / stats.norm.ppf(0.975) / 2, rel=1e-12)
