"""A saved fit brings everything back bit for bit, and no individual rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.errors import FitFileError


@pytest.fixture(scope="module")
def path(small_fit: mb.Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_fit.save(tmp_path_factory.mktemp("fit") / "posterior.nc")


def test_round_trip(small_fit: mb.Fit, path: Path) -> None:
    loaded = mb.load_fit(path)
    for draws in ("coefficients", "site_effects", "site_sd"):
        np.testing.assert_array_equal(getattr(loaded, draws)(), getattr(small_fit, draws)())
    assert loaded.model == small_fit.model
    assert loaded.provenance() == small_fit.provenance()
    assert loaded.diagnostics.findings == small_fit.diagnostics.findings
    assert loaded.weights_ess == small_fit.weights_ess
    pd.testing.assert_frame_equal(loaded.summary(), small_fit.summary())
    pd.testing.assert_frame_equal(loaded.support.quantiles, small_fit.support.quantiles)
    pd.testing.assert_frame_equal(loaded.support.by_group, small_fit.support.by_group, check_dtype=False)
    pd.testing.assert_frame_equal(loaded.flow, small_fit.flow, check_dtype=False)
    np.testing.assert_array_equal(loaded.support.joint, small_fit.support.joint)
    np.testing.assert_array_equal(loaded.support.profile, small_fit.support.profile)
    for name, count in small_fit.support.counts.items():
        pd.testing.assert_series_equal(loaded.support.counts[name], count)


def test_new_persons_are_predicted_alike_without_the_table(
    small_fit: mb.Fit, path: Path, small_table: pd.DataFrame
) -> None:
    loaded = mb.load_fit(path)
    assert loaded.cohort is None
    persons = small_table.head(50)
    np.testing.assert_array_equal(loaded.recipe.matrix(persons), small_fit.recipe.matrix(persons))
    np.testing.assert_array_equal(loaded.recipe.site_index(persons), small_fit.recipe.site_index(persons))


def test_no_rows_unless_asked(small_fit: mb.Fit, path: Path, tmp_path: Path) -> None:
    with_rows = mb.load_fit(small_fit.save(tmp_path / "rows.nc", rows=True))
    pd.testing.assert_frame_equal(
        with_rows.cohort[["intermat_percent", "intermat_z"]].reset_index(drop=True),
        small_fit.cohort[["intermat_percent", "intermat_z"]].reset_index(drop=True),
    )
    text = path.read_bytes()
    first = small_fit.cohort.iloc[0]
    assert str(first["participant_id"]).encode() not in text
    assert f"{first['intermat_percent']:.17g}".encode() not in text


def test_cohort_is_taken_back_only_when_it_is_the_same(
    path: Path, small_table: pd.DataFrame, small_fit: mb.Fit
) -> None:
    assert len(mb.load_fit(path, cohort=small_table).cohort) == small_fit.n
    changed = small_table.assign(intermat_percent=small_table["intermat_percent"] + 1e-9)
    with pytest.raises(FitFileError, match="not the one that was fitted"):
        mb.load_fit(path, cohort=changed)


def test_what_is_no_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nc").write_text("no fit")
    with pytest.raises(FitFileError, match=r"text\.nc"):
        mb.load_fit(tmp_path / "text.nc")
    with pytest.raises(FitFileError, match=r"none\.nc"):
        mb.load_fit(tmp_path / "none.nc")


def test_a_maximum_comes_back(small_table: pd.DataFrame, tmp_path: Path) -> None:
    fit = mb.fit("cbp_main", small_table, method="ml")
    loaded = mb.load_fit(fit.save(tmp_path / "ml.nc"))
    np.testing.assert_array_equal(loaded.maximum.covariance, fit.maximum.covariance)
    np.testing.assert_array_equal(loaded.coefficients(), fit.coefficients())
    assert loaded.maximum.site_sd == fit.maximum.site_sd
    assert loaded.posterior is None
