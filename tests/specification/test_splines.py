"""Splines and surfaces against R's splines::ns and rms::rcs, SciPy's natural splines, and the prior that they state."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline

import muscle_bayes as mb
from muscle_bayes.errors import InvalidValueError, ModelFileError
from muscle_bayes.specification.splines import SplineBasis, spline_basis
from muscle_bayes.specification.transforms import Call, Smooth, elementwise

REFERENCE = json.loads((Path(__file__).parents[1] / "fixtures/splines/reference.json").read_text())


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.array(REFERENCE["x"])


@pytest.fixture(scope="module")
def basis(x: np.ndarray) -> SplineBasis:
    return spline_basis(x, 4, bend=0.5, where="x")


def test_knots_are_rs_quantiles(basis: SplineBasis) -> None:
    np.testing.assert_allclose(basis.knots * basis.sd + basis.mean, REFERENCE["knots"], rtol=1e-12)


def test_spans_the_functions_that_rs_ns_spans(basis: SplineBasis) -> None:
    """Each column of either basis is a combination of the other's, beyond the outer knots as well."""
    new = np.array(REFERENCE["new"])
    ours = np.column_stack([np.ones(len(new)), basis.columns(new)])
    theirs = np.column_stack([np.ones(len(new)), REFERENCE["basis"]])
    for target, given in ((theirs, ours), (ours, theirs)):
        combined = given @ np.linalg.lstsq(given, target, rcond=None)[0]
        np.testing.assert_allclose(combined, target, atol=1e-9 * np.abs(target).max())


@pytest.mark.parametrize("key", ["log_odds", "log_odds_rms"])
def test_maximum_likelihood_is_that_of_glm_and_of_rms(x: np.ndarray, key: str) -> None:
    table = pd.DataFrame({"x": x, "y": REFERENCE["y"]})
    fit = mb.fit(mb.Model(formula="y ~ ns(x, df=4)"), table, method="ml")
    rows = fit.recipe.matrix(pd.DataFrame({"x": REFERENCE["new"]}))
    log_odds = fit.maximum.coefficients[0] + rows @ fit.maximum.coefficients[1:]
    np.testing.assert_allclose(log_odds, REFERENCE[key], atol=2e-6, rtol=2e-6)
    assert -2 * fit.maximum.log_likelihood == pytest.approx(REFERENCE["deviance"], rel=1e-9)


def _natural(basis: SplineBasis, column: int) -> CubicSpline:
    """SciPy's natural spline through a column's values at the knots, which is unique."""
    at = basis.knots * basis.sd + basis.mean
    return CubicSpline(basis.knots, basis.columns(at)[:, column], bc_type="natural")


def test_columns_are_natural_splines(basis: SplineBasis) -> None:
    u = np.linspace(basis.knots[0], basis.knots[-1], 101)
    values = basis.columns(u * basis.sd + basis.mean)
    for column in range(4):
        np.testing.assert_allclose(values[:, column], _natural(basis, column)(u), atol=1e-12)


def test_first_column_is_the_variable_in_sds(basis: SplineBasis, x: np.ndarray) -> None:
    np.testing.assert_allclose(basis.columns(x)[:, 0], (x - x.mean()) / x.std(ddof=1), atol=1e-12)


@pytest.mark.parametrize(("df", "bend"), [(2, 0.5), (4, 0.5), (6, 1.0), (10, 0.25)])
def test_departures_are_as_large_and_as_rough_as_stated(x: np.ndarray, df: int, bend: float) -> None:
    """Uncorrelated with the line and each other, together `bend` of its size, and each of the same roughness.

    Coefficients of one SD then have the density exp(-const * integral of the squared second derivative), which is the prior
    of a smoothing spline.
    """
    basis = spline_basis(x, df, bend=bend, where="x")
    columns = basis.columns(x)
    covariance = np.cov(columns.T)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-10)
    assert np.sqrt(np.diag(covariance)[1:].sum()) == pytest.approx(bend * np.sqrt(covariance[0, 0]), rel=1e-10)
    assert (np.diff(np.diag(covariance)[1:]) < 0).all()
    second = [_natural(basis, column).derivative(2) for column in range(1, df)]
    # A product of two straight pieces: Simpson's rule has no error.
    left, right = basis.knots[:-1], basis.knots[1:]
    middle, width = (left + right) / 2, (right - left) / 6
    roughness = np.array(
        [
            [(width * (f(left) * g(left) + 4 * f(middle) * g(middle) + f(right) * g(right))).sum() for g in second]
            for f in second
        ]
    )
    np.testing.assert_allclose(roughness, roughness[0, 0] * np.eye(df - 1), atol=1e-8 * roughness[0, 0])


def test_a_surface_holds_the_linear_model_with_its_interaction(small_table: pd.DataFrame) -> None:
    model, linear = mb.load_model("cbp_surface"), mb.load_model("cbp_interaction")
    smooth, plain = model.design(small_table), linear.design(small_table)
    z, w = (plain.frame[name].to_numpy() for name in ("intermat_z", "lmm_z"))
    first_three = smooth.recipe.matrix(smooth.frame)[:, :3]
    np.testing.assert_allclose(first_three, np.column_stack([z, w, 0.5 * z * w]), atol=1e-10)
    assert sum(column.term.startswith("surface") for column in smooth.recipe.columns) == 15
    # Beyond the outer knots of both variables the log odds are straight along each axis.
    far = pd.DataFrame({"intermat_z": [4.0, 5.0, 6.0], "lmm_z": [-3.0, -3.0, -3.0]})
    columns = smooth.recipe.smooths[0].columns(far["intermat_z"].to_numpy(), far["lmm_z"].to_numpy())
    np.testing.assert_allclose(columns[0] - 2 * columns[1] + columns[2], 0, atol=1e-9)


def test_the_prior_of_a_smooth_is_what_the_model_file_says(small_table: pd.DataFrame) -> None:
    """Drawn functions: SDs along the line and of departures from it, by 20,000 draws (error of an SD 0.5 %)."""
    model = mb.load_model("cbp_surface")
    prior = model.normal_priors()["surface(intermat_z, lmm_z, df=3)"]
    assert prior.sd == pytest.approx(np.log(5) / 1.959963984540054 / 2, rel=1e-12)
    assert "departures from it 0.5 times as large" in prior.stated
    design = model.design(small_table)
    smooth = design.recipe.smooths[0]
    z = design.frame["intermat_z"].to_numpy()
    weights = np.random.default_rng(1).normal(0, prior.sd, (20_000, 15))
    values = weights @ smooth.columns(z, np.zeros(len(z))).T  # along InterMAT at the mean of LMM
    line = np.column_stack([np.ones(len(z)), z])
    slopes = np.linalg.lstsq(line, values.T, rcond=None)[0]
    departure = values - (line @ slopes).T
    low, high = np.exp(2 * np.quantile(slopes[1], [0.025, 0.975]))
    # Half as large by the columns of InterMAT alone; the products with LMM's curves, not quite 0 at its mean, add a little.
    size = np.sqrt((departure**2).mean(axis=1).mean()) / prior.sd
    assert 0.495 < size < 0.56
    assert (low, high) == (pytest.approx(0.2, rel=0.08), pytest.approx(5, rel=0.08))


@pytest.mark.parametrize(
    ("function", "good", "bad"),
    [("log", 1.0, 0.0), ("log1p", -0.5, -1.0), ("sqrt", 0.0, -1e-9), ("square", -3.0, None)],
)
def test_values_without_a_transform_are_refused(function: str, good: float, bad: float | None) -> None:
    call = Call(function, ("x",))
    assert elementwise(call, np.array([good, np.nan]))[0] == getattr(np, function)(good)
    if bad is not None:
        with pytest.raises(InvalidValueError, match=rf"{function} of .* is not defined"):
            elementwise(call, np.array([good, bad]))


def test_too_many_knots_on_one_value_are_refused() -> None:
    x = np.repeat([0.0, 1.0, 2.0], [80, 10, 10])
    with pytest.raises(InvalidValueError, match="fall on one value"):
        Smooth.of(Call("ns", ("x",), df=4), pd.DataFrame({"x": x}))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"formula": "y ~ ns(s, df=4)", "levels": {"s": ["a", "b"]}}, "takes numbers"),
        ({"formula": "y ~ x", "exposures": {"x": {"levels": [1, 2]}}}, "only an exposure inside a transform"),
        ({"formula": "y ~ ns(x, df=4)", "exposures": {"x": {"levels": [1]}}}, "two or more different values"),
    ],
)
def test_models_with_impossible_smooths_are_refused(settings: dict, match: str) -> None:
    with pytest.raises((ValueError, ModelFileError), match=match):
        mb.Model(**settings)
