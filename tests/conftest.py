"""Fixtures that more than one stage's tests share: fits are made once a session."""

from pathlib import Path

import pandas as pd
import pytest

import muscle_bayes as mb

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real MRI beside the project's root; a user's checkout has none and skips."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the project")
    return folder


@pytest.fixture(scope="session")
def simulated_table() -> pd.DataFrame:
    """The simulated cohort of the published size."""
    return mb.simulate_cohort(seed=1)


@pytest.fixture(scope="session")
def small_table() -> pd.DataFrame:
    """A small simulated cohort."""
    return mb.simulate_cohort(n=2_000, seed=1)


@pytest.fixture(scope="session")
def interaction_fit(simulated_table: pd.DataFrame) -> mb.Fit:
    """The interaction model on the simulated cohort."""
    return mb.fit("cbp_interaction", simulated_table, method="laplace", seed=1)


@pytest.fixture(scope="session")
def small_fit(small_table: pd.DataFrame) -> mb.Fit:
    """The interaction model on the small cohort."""
    return mb.fit("cbp_interaction", small_table, method="laplace", seed=1)


@pytest.fixture(scope="session")
def pain_fit(small_table: pd.DataFrame) -> mb.Fit:
    """The ordered pain intensity of the small cohort."""
    return mb.fit("pain_ordinal", small_table, draws=1_600, seed=1)
