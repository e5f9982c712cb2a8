"""Reference methods on a fit's analysis set."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import t as student

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.inference.references import reference


def test_fixed_sites_are_sum_contrasts(small_fit: mb.Fit) -> None:
    """The intercept is the unweighted mean of the sites' constants: patsy's sum contrasts, as its users know them."""
    found = reference("fixed_site", small_fit)
    frame = small_fit.cohort.assign(
        low=lambda d: d["activity"] == "low", high=lambda d: d["activity"] == "high", male=lambda d: d["sex"] == "male"
    )
    others = (
        "intermat_z + lmm_z + age_z + male + low + high + diabetes + dyslipidemia + osteoporosis + osteoarthritis"
        " + intermat_z:lmm_z"
    )
    theirs = smf.logit(f"cbp ~ C(site, Sum) + {others}", frame.astype({"low": int, "high": int, "male": int})).fit(
        disp=0
    )
    assert found.coefficients[0] == pytest.approx(theirs.params["Intercept"], abs=1e-6)
    assert found.covariance[0, 0] == pytest.approx(theirs.bse["Intercept"] ** 2, rel=1e-4)
    labels = [column.label for column in small_fit.recipe.columns]
    at = 1 + labels.index("intermat_z:lmm_z")
    assert found.coefficients[at] == pytest.approx(theirs.params["intermat_z:lmm_z"], abs=1e-6)
    assert found.site_effects is not None
    first = small_fit.recipe.site_levels[0]
    assert found.site_effects[0] == pytest.approx(theirs.params[f"C(site, Sum)[S.{first}]"], abs=1e-6)
    assert np.sqrt(found.site_covariance[0, 0]) == pytest.approx(theirs.bse[f"C(site, Sum)[S.{first}]"], rel=1e-4)


def test_clustered_methods_take_students_t(small_fit: mb.Fit) -> None:
    for name in ("gee", "cluster_robust"):
        found = reference(name, small_fit)
        assert found.quantile == pytest.approx(student.ppf(0.975, 4))
        assert "5 clusters are few" in found.note


def test_separation_is_named(small_table: pd.DataFrame) -> None:
    table = small_table.assign(osteoporosis=small_table["cbp"])
    fit = mb.fit("cbp_main", table, method="laplace", draws=400)
    with pytest.raises(EstimandError, match=r"do not exist.*separation"):
        reference("fixed_site", fit)


def test_unknown_method(small_fit: mb.Fit) -> None:
    with pytest.raises(EstimandError, match="gee, cluster_robust, fixed_site"):
        reference("anova", small_fit)
