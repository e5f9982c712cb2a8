"""Support of combinations and of persons, on a table made by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from muscle_bayes.estimands.support import joint_support, outside_support


@pytest.fixture
def tabled():
    """Women at InterMAT from -1 to 1 with LMM from -2 to 0; men in one band, with a hole around (0, 1)."""
    centres = np.arange(-4, 6, 0.25) + 0.125
    counts = np.zeros((2, len(centres), len(centres)), dtype=int)
    a, b = np.meshgrid(centres, centres, indexing="ij")
    counts[0][(np.abs(a) < 1) & (b > -2) & (b < 0)] = 10
    counts[1][(np.abs(a) < 2) & (np.abs(b) < 2)] = 10
    counts[1][(np.abs(a) < 0.75) & (np.abs(b - 1) < 0.75)] = 0
    joint = xr.DataArray(
        counts, dims=("sex", "a_z", "b_z"), coords={"sex": ["female", "male"], "a_z": centres, "b_z": centres}
    )
    by_group = pd.DataFrame(
        {
            "sex": ["female", "female", "male"], "age_band": ["<40", "60+", "<40"], "n": [500, 500, 900],
            "a_z_q01": [-1.0, 0.0, -2.0], "a_z_q99": [0.0, 1.0, 2.0], "b_z_q01": [-2.0, -2.0, -2.0], "b_z_q99": [0.0, 0.0, 2.0],
        }
    )  # fmt: skip
    return SimpleNamespace(support=SimpleNamespace(joint=joint, by_group=by_group))


def supported(fit, a, b):
    out = joint_support(fit, "a_z", "b_z", np.array([a]), np.array([b]))
    return {key: bool(value[0]) for key, value in out.items()}


def test_a_combination_needs_an_age_band_and_persons_around_it(tabled) -> None:
    assert supported(tabled, -0.5, -1.0) == {"female": True, "male": True, "any": True}
    assert supported(tabled, 0.0, 1.0) == {"female": False, "male": False, "any": False}  # the men's hole
    assert supported(tabled, 1.5, 0.0) == {"female": False, "male": True, "any": True}
    assert supported(tabled, -3.9, -3.9)["any"] is False
    assert supported(tabled, 30.0, 0.0)["any"] is False  # beyond the table
    # At the hole's rim a neighbouring bin holds 10 persons.
    assert supported(tabled, 0.0, 0.3)["male"] is True


def test_a_person_is_held_against_their_own_sex_and_age_band(tabled) -> None:
    def outside(sex, age, a):
        return outside_support(tabled, pd.Series({"sex": sex, "age_years": age, "a_z": a, "b_z": -1.0}), ["a_z", "b_z"])

    assert outside("female", 30, -0.5) == []
    assert outside("female", 65, -0.5) == ["a_z"]
    assert outside("female", 39.9, 0.5) == ["a_z"]
    assert outside("male", 30, 0.5) == []


def test_without_a_joint_table_the_bands_decide(tabled) -> None:
    bare = SimpleNamespace(support=SimpleNamespace(joint=None, by_group=tabled.support.by_group))
    assert supported(bare, 0.0, 1.0) == {"female": False, "male": True, "any": True}
