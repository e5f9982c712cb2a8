"""Random slopes and several grouping factors through `fit`: the same model as Bambi's, PyMC's and lme4's, read back as it was."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from arviz_stats.base import array_stats
from scipy import stats

import muscle_bayes as mb
from muscle_bayes.errors import InvalidValueError, ModelFileError
from muscle_bayes.inference.adapters import logit_problem
from muscle_bayes.inference.density import LogitLikelihood, log_density_and_gradient
from muscle_bayes.inference.diagnostics import parameter_arrays
from muscle_bayes.specification.catalogue import read_model
from muscle_bayes.specification.grouping import Factor, level_texts

LME4 = Path(__file__).resolve().parents[1] / "fixtures" / "lme4"

#: An intercept, slopes of a number and of a category, by site; and slopes over combinations of two predictors.
FORMULA = (
    "cbp ~ age_years + activity + osteoarthritis + osteoporosis + (1 + age_years + activity|site)"
    " + (0 + age_years|osteoarthritis:osteoporosis)"
)
CONTENT = {
    "formula": FORMULA,
    "levels": {"activity": ["moderate", "low", "high"]},
    "exposures": {"age_years": {"contrast": 10}},
    "priors": {
        "slope_sd": {"half_normal": 0.3, "reason": "test"},
        "age_years|site": {"half_normal": 0.8, "per": 20, "reason": "test"},
    },
}


@pytest.fixture(scope="module")
def model() -> mb.Model:
    return read_model(CONTENT, name="slopes", where="test")


@pytest.fixture(scope="module")
def few(small_table: pd.DataFrame) -> pd.DataFrame:
    return small_table.head(600)


@pytest.fixture(scope="module")
def site_slopes(few: pd.DataFrame) -> mb.Fit:
    return mb.fit("cbp_site_slopes", few, method="auto", seed=1)


def test_our_density_is_that_of_the_pymc_model(model: mb.Model, small_table: pd.DataFrame) -> None:
    """Age is not centred, so that a slope's column and the centred common column differ by 48 years."""
    table = small_table.head(300)
    design = model.design(table)
    assert abs(design.recipe.centre[0]) > 40
    problem = logit_problem(model, design)
    np.testing.assert_allclose(problem.sd_scale, [0.5, 0.8 / 20, 0.3, 0.3, 0.3 / 10])
    graph = model.to_pymc(table)
    assert set(graph.named_vars) >= {
        "1|site",
        "age_years|site",
        "activity|site",
        "age_years|osteoarthritis:osteoporosis",
    }
    compiled, rng = graph.compile_logp(mode="FAST_COMPILE"), np.random.default_rng(1)
    # Both at the same point: with few persons a site the graph's free variables are the standardised effects.
    x, log_sd = rng.normal(0, 0.02, problem.q + problem.n_effects), rng.normal(-3, 0.3, problem.n_terms)
    ours = log_density_and_gradient(LogitLikelihood(problem), x, log_sd)[0]
    effects = problem.split_effects(x[problem.q :])
    low, high = 2, 3
    value = {
        "Intercept_centered": x[0], "age_years": x[1], "activity": x[2:4], "osteoarthritis": x[4], "osteoporosis": x[5],
        "1|site_sigma_log__": log_sd[0], "age_years|site_sigma_log__": log_sd[1],
        "activity|site_sigma_log__": log_sd[[low, high]],
        "age_years|osteoarthritis:osteoporosis_sigma_log__": log_sd[4],
        "1|site_offset": effects[0] / np.exp(log_sd[0]), "age_years|site_offset": effects[1] / np.exp(log_sd[1]),
        "activity|site_offset": np.stack([effects[t] / np.exp(log_sd[t]) for t in (low, high)], axis=-1),
        "age_years|osteoarthritis:osteoporosis_offset": effects[4] / np.exp(log_sd[4]),
    }  # fmt: skip
    assert set(value) == set(graph.initial_point())
    sizes = [len(effect) for effect in effects]
    jacobian = float(np.dot(sizes, log_sd))
    assert ours + jacobian == pytest.approx(float(compiled(value)), rel=1e-10)


def test_bambi_names_it_alike_and_predicts_from_our_posterior(model: mb.Model, small_table: pd.DataFrame) -> None:
    """A posterior with the values of a normal generator is enough: names, dims and what they multiply are what is tested."""
    from muscle_bayes.inference.draws import Draws

    design = model.design(small_table)
    recipe, rng = design.recipe, np.random.default_rng(1)
    sizes = [len(factor.levels) for one in recipe.varying for factor in recipe.factors if factor.name == one.factor]
    assert [one.label for one in recipe.varying] == [
        "1|site", "age_years|site", "activity[low]|site", "activity[high]|site", "age_years|osteoarthritis:osteoporosis",
    ]  # fmt: skip
    draws = Draws(
        rng.normal(size=(4, 25)),
        rng.normal(0, 0.05, size=(4, 25, len(recipe.columns))),
        tuple(rng.normal(0, 0.02, size=(4, 25, size)) for size in sizes),
        tuple(rng.uniform(0.1, 0.2, size=(4, 25)) for _ in sizes),
    )
    posterior = draws.to_dataset(recipe)
    again = Draws.from_dataset(posterior, recipe)
    for ours, theirs in zip((*draws.effects, *draws.sds), (*again.effects, *again.sds), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    bambi = model.to_bambi(small_table)
    bambi.build()
    graph = bambi.backend.model
    named = {v.name for v in graph.unobserved_RVs if not v.name.endswith("_offset")} - {"p"}
    assert set(posterior.data_vars) == named
    for name in named:
        dims = graph.named_vars_to_dims.get(name) or ()
        assert posterior[name].dims == ("chain", "draw", *dims)
        for dim in dims:
            assert [str(value) for value in posterior[name].coords[dim].values] == list(map(str, graph.coords[dim]))

    import xarray as xr

    persons = design.frame.head(20)
    tree = xr.DataTree.from_dict({"posterior": posterior})
    predicted = bambi.predict(tree, data=persons, kind="response_params", inplace=False)["posterior"]["p"].to_numpy()
    X = recipe.matrix(persons)
    eta = draws.intercept[..., None] + draws.coefficients @ X.T
    for one, effects in zip(recipe.varying, draws.effects, strict=True):
        eta += effects[..., design.groups[one.factor][:20]] * one.covariate(X)
    np.testing.assert_allclose(predicted, 1 / (1 + np.exp(-eta)), rtol=1e-10)


def test_a_certified_posterior_with_slopes_is_that_of_pymc(site_slopes: mb.Fit, few: pd.DataFrame) -> None:
    """Means and SDs of 29 parameters within 4.5 joint Monte Carlo standard errors: right in more than 99.9 %."""
    assert site_slopes.method == "laplace"
    pymc = mb.fit("cbp_site_slopes", few, method="pymc", seed=1)
    assert pymc.diagnostics.passed, pymc.diagnostics
    ours, theirs = site_slopes.summary(), pymc.summary()
    assert list(ours.index) == list(theirs.index)
    assert len(ours) == 29
    error = np.hypot(ours["mcse_mean"], theirs["mcse_mean"])
    assert (abs(ours["mean"] - theirs["mean"]) < 4.5 * error).all()
    spread = np.hypot(_error_of_sd(site_slopes), _error_of_sd(pymc))
    assert (abs(ours["sd"] - theirs["sd"]) < 4.5 * spread).all()


def _error_of_sd(fit: mb.Fit) -> np.ndarray:
    errors = []
    for values in parameter_arrays(fit._draws, fit.recipe).values():
        squares = (values - values.mean()) ** 2
        ess = fit.weights_ess or array_stats.ess(squares, chain_axis=0, draw_axis=1, method="mean")
        errors.append(squares.std() / np.sqrt(ess) / (2 * values.std()))
    return np.array(errors)


@pytest.mark.parametrize("name", ["cbp_site_slopes", "cbp_subgroups"])
def test_the_catalogues_models_with_slopes_certify_at_the_published_size(
    name: str, simulated_table: pd.DataFrame
) -> None:
    fit = mb.fit(name, simulated_table, method="laplace", draws=2000)
    assert fit.diagnostics.passed, fit.diagnostics


def test_a_saved_fit_comes_back_with_its_slopes(site_slopes: mb.Fit, small_table: pd.DataFrame, tmp_path: Path) -> None:
    loaded = mb.load_fit(site_slopes.save(tmp_path / "fit.nc"))
    assert loaded.recipe.factors == site_slopes.recipe.factors
    assert loaded.recipe.varying == site_slopes.recipe.varying
    assert loaded.model == site_slopes.model
    np.testing.assert_array_equal(loaded.group_sds(), site_slopes.group_sds())
    for ours, theirs in zip(loaded.group_effects(), site_slopes.group_effects(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(loaded.site_effects(), site_slopes.group_effects()[0])
    np.testing.assert_array_equal(loaded.site_sd(), site_slopes.group_sds()[:, 0])
    ml = mb.fit("cbp_subgroups", small_table, method="ml")
    again = mb.load_fit(ml.save(tmp_path / "ml.nc"), cohort=small_table)
    assert again.maximum.sds == ml.maximum.sds
    for ours, theirs in zip(again.maximum.effects, ml.maximum.effects, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("name", "groups"), [("random_slope", "(1 + x1|g)"), ("crossed", "(1|g) + (1|h)")])
def test_maximum_likelihood_is_that_of_lme4(name: str, groups: str) -> None:
    """``(1 + x1 || g)`` and crossed terms of lme4, through `fit`."""
    theirs = json.loads((LME4 / f"{name}.json").read_text())["fits"][0]
    table = pd.read_csv(LME4 / f"{name}.csv")
    common = " + ".join(theirs["names"][1:])
    fit = mb.fit(mb.Model(formula=f"y ~ {common} + {groups}"), table, method="ml")
    se = np.array(theirs["se"])
    np.testing.assert_allclose((fit.maximum.coefficients - theirs["coefficients"]) / se, 0, atol=0.005)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.maximum.covariance)), se, rtol=1e-3)
    np.testing.assert_allclose(fit.maximum.sds, np.atleast_1d(theirs["sd"]), atol=1e-3)
    assert -2 * fit.maximum.log_likelihood == pytest.approx(theirs["deviance"], abs=1e-3)
    for t, one in enumerate(fit.recipe.varying):
        factor = next(f for f in fit.recipe.factors if f.name == one.factor)
        order = np.argsort([int(level) for level in factor.levels])
        column = sum(other.factor == one.factor for other in fit.recipe.varying[:t])
        modes = np.array(theirs["effects"][one.factor])[:, column]
        np.testing.assert_allclose(fit.maximum.effects[t][order], modes, atol=2e-3)


def test_auto_samples_where_too_much_varies_for_the_laplace_engine(small_table: pd.DataFrame) -> None:
    table = small_table.head(400).assign(scanner=np.arange(400) % 3)
    model = mb.Model(formula="cbp ~ age_years + (1 + age_years|site) + (1 + age_years|scanner)")
    with pytest.raises(InvalidValueError, match="no hope of a certificate"):
        mb.fit(model, table, method="laplace")
    fit = mb.fit(model, table, method="auto", draws=400)
    assert fit.method == "nuts"
    assert any("4 group terms with 16 effects" in finding.text for finding in fit.diagnostics.findings)
    assert [factor.name for factor in fit.recipe.factors] == ["site", "scanner"]
    assert fit.site_effects().shape == (400, 5)
    with pytest.raises(InvalidValueError, match="no hope"):
        mb.fit(model, table.drop(columns="scanner").assign(scanner=np.arange(400)), method="laplace")


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        ("(lmm_z|site)", "no common term"),
        ("(0 + activity|site)", "needs 1 in place of 0"),
        ("(age_years:bmi_kg_m2|site)", "without the main effects"),
        ("(1|activity:site)", "crosses predictors of the model with other columns"),
        ("(0 + age_years|age_years)", "over itself"),
    ],
)
def test_groups_that_would_mislead_are_refused(groups: str, complaint: str) -> None:
    content = {
        "formula": f"cbp ~ activity + age_years * bmi_kg_m2 + {groups}",
        "levels": {"activity": ["moderate", "low", "high"]},
    }
    with pytest.raises(ModelFileError, match=complaint):
        read_model(content, name="m", where="test")


def test_priors_of_what_does_not_vary_are_refused() -> None:
    content = {"formula": "cbp ~ age_years + (1|site)", "priors": {"age_years|site": {"half_normal": 1, "reason": ""}}}
    with pytest.raises(ModelFileError, match="does not vary"):
        read_model(content, name="m", where="test")


def test_the_prior_of_a_slope_is_on_the_scale_of_its_contrast(model: mb.Model) -> None:
    """Half-normal 0.3 on the log odds ratio per 10 years: 95 % of the SDs of that below 1.96 times 0.3."""
    prior = model.sd_prior("age_years", "osteoarthritis:osteoporosis")
    assert stats.halfnorm(scale=prior.scale).ppf(0.95) * 10 == pytest.approx(1.959964 * 0.3, rel=1e-5)
    assert prior.stated == "half-normal 0.3 on the log odds ratio per 10"


def test_levels_of_numbers_read_the_same_from_integers_floats_and_booleans() -> None:
    for values in ([0, 1], [0.0, 1.0], [False, True]):
        assert list(level_texts(pd.Series(values))) == ["0", "1"]
    assert list(level_texts(pd.Series([1234567.0]))) == ["1234567"]
    factor = Factor("a:b", ("0:x", "0:y", "1:x", "1:y"))
    np.testing.assert_array_equal(factor.index(pd.DataFrame({"a": [1.0, 0.0], "b": ["x", "y"]})), [2, 1])
    with pytest.raises(InvalidValueError, match="the fit has no a:b '2:x'"):
        factor.index(pd.DataFrame({"a": [2], "b": ["x"]}))
