"""Smooth terms in every engine: one density, Bambi's names, the same basis for new persons after saving."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import muscle_bayes as mb
from muscle_bayes.inference.adapters import logit_problem
from muscle_bayes.inference.density import LogitLikelihood, log_density_and_gradient

MODEL = mb.Model(
    formula="cbp ~ surface(intermat_z, lmm_z, df=2) + ns(sqrt(activity_met_min_week), df=3) * sex + log1p(age_years) + (1|site)",
    levels={"sex": ["female", "male"]},
    standardise={"intermat_z": {"from": "intermat_percent"}, "lmm_z": {"from": "lmm_cm3_per_kg_m2"}},
    exposures={"intermat_z": {}, "lmm_z": {"adverse": "low"}},
)


@pytest.fixture(scope="module")
def fit(small_table: pd.DataFrame) -> mb.Fit:
    made = mb.fit(MODEL, small_table, method="laplace", seed=1)
    assert made.diagnostics.passed, made.diagnostics
    return made


@pytest.mark.parametrize("name", ["cbp_surface", "cbp_activity_smooth"])
def test_smooth_models_of_the_catalogue_certify(name: str, simulated_table: pd.DataFrame) -> None:
    made = mb.fit(name, simulated_table, method="laplace", draws=2000, seed=1)
    assert made.diagnostics.passed, made.diagnostics


def test_pymc_has_our_density(small_table: pd.DataFrame) -> None:
    """At three points PyMC's log density equals ours and that of SciPy's distributions."""
    table = small_table.head(400)
    design, graph = MODEL.design(table), MODEL.to_pymc(table)
    problem = logit_problem(MODEL, design)
    likelihood = LogitLikelihood(problem)
    compiled = graph.compile_logp(mode="FAST_COMPILE")
    terms = list(dict.fromkeys(column.term for column in design.recipe.columns))
    sizes = [sum(column.term == term for column in design.recipe.columns) for term in terms]
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        beta, offset, log_sd = rng.normal(0, 0.3, problem.q), rng.normal(size=5), np.array([-1.0])
        parts = np.split(beta[1:], np.cumsum(sizes)[:-1])
        point = {"Intercept_centered": beta[0], "1|site_sigma_log__": log_sd[0], "1|site_offset": offset}
        point |= {
            term: part if len(part) > 1 or term == "sex" else part[0] for term, part in zip(terms, parts, strict=True)
        }
        log_odds = problem.X @ beta + np.exp(log_sd) * offset[design.groups["site"]]
        expected = stats.bernoulli(1 / (1 + np.exp(-log_odds))).logpmf(design.y.astype(int)).sum()
        expected += stats.norm(problem.prior_mean, problem.prior_sd).logpdf(beta).sum()
        expected += stats.halfnorm(scale=0.5).logpdf(np.exp(log_sd[0])) + log_sd[0]
        assert float(compiled(point)) == pytest.approx(expected + stats.norm.logpdf(offset).sum(), rel=1e-10)
        effects = np.exp(log_sd) * offset
        ours = log_density_and_gradient(likelihood, np.concatenate([beta, effects]), log_sd)[0]
        assert ours == pytest.approx(expected + stats.norm(0, np.exp(log_sd)).logpdf(effects).sum(), rel=1e-10)


def test_bambi_knows_the_terms_and_predicts_from_our_posterior(fit: mb.Fit, small_table: pd.DataFrame) -> None:
    bambi = MODEL.to_bambi(small_table)
    bambi.build()
    graph, posterior = bambi.backend.model, fit.posterior["posterior"]
    named = {variable.name for variable in graph.unobserved_RVs} - {"p", "1|site_offset"}
    assert set(posterior.data_vars) == named
    for name in named:
        dims = graph.named_vars_to_dims.get(name) or ()
        assert posterior[name].dims == ("chain", "draw", *dims)
        for dim in dims:
            assert list(map(str, posterior[name].coords[dim].values)) == list(map(str, graph.coords[dim]))
    prior = bambi.parameters["p"].terms["surface(intermat_z, lmm_z, df=2)"].prior
    assert float(np.unique(prior.args["sigma"])[0]) == pytest.approx(np.log(5) / stats.norm.ppf(0.975) / 2, rel=1e-12)

    persons = fit.cohort.head(25)
    draws = fit.posterior.isel(draw=slice(0, 50))
    predicted = bambi.predict(draws, data=persons, kind="response_params", inplace=False)["posterior"]["p"]
    coefficients = fit.coefficients().reshape(4, 1000, -1)[:, :50]
    effects = fit.site_effects().reshape(4, 1000, -1)[:, :50]
    X, site = fit.recipe.matrix(persons), fit.recipe.site_index(persons)
    log_odds = coefficients[..., :1] + coefficients[..., 1:] @ X.T + effects[..., site]
    np.testing.assert_allclose(predicted.to_numpy(), 1 / (1 + np.exp(-log_odds)), rtol=1e-10)


def test_pymc_agrees(small_table: pd.DataFrame) -> None:
    """Means of nine parameters within 4 joint Monte Carlo standard errors: right in 99.9 %."""
    model = mb.Model(
        formula="cbp ~ surface(intermat_z, lmm_z, df=2)", standardise=MODEL.standardise, exposures=MODEL.exposures
    )
    table = small_table.head(1000)
    ours, theirs = (mb.fit(model, table, method=method, seed=1) for method in ("laplace", "pymc"))
    assert ours.diagnostics.passed
    assert theirs.diagnostics.passed
    assert list(ours.summary().index) == list(theirs.summary().index)
    error = np.hypot(ours.summary()["mcse_mean"], theirs.summary()["mcse_mean"])
    assert (abs(ours.summary()["mean"] - theirs.summary()["mean"]) < 4 * error).all()
    np.testing.assert_allclose(ours.summary()["sd"], theirs.summary()["sd"], rtol=0.12)


def test_a_saved_fit_gives_new_persons_the_same_columns(fit: mb.Fit, small_table: pd.DataFrame, tmp_path) -> None:
    path = fit.save(tmp_path / "fit.nc")
    loaded = mb.load_fit(path)
    persons = small_table.tail(40).assign(activity_met_min_week=np.linspace(0, 30_000, 40))
    np.testing.assert_array_equal(loaded.recipe.matrix(persons), fit.recipe.matrix(persons))
    # Two margins with three knots, one with four: no place for rows.
    stored = json.loads(xr.open_datatree(path, engine="h5netcdf").attrs["muscle_bayes"])["recipe"]["smooths"]
    assert [[len(margin["knots"]) for margin in smooth["margins"]] for smooth in stored] == [[3, 3], [4]]


def test_knots_are_those_of_the_analysis_set_not_of_new_persons(fit: mb.Fit, small_table: pd.DataFrame) -> None:
    whole = fit.recipe.matrix(small_table)
    np.testing.assert_allclose(fit.recipe.matrix(small_table.iloc[[7]])[0], whole[7], rtol=1e-12)
    np.testing.assert_allclose(whole, MODEL.design(small_table).X + fit.recipe.centre, atol=1e-12)
