"""A column in percent that was given in fractions of one is refused, as heights in metres are."""

import pandas as pd
import pytest

from muscle_bayes.cohort import read_cohort
from muscle_bayes.errors import InvalidValueError


def people(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"participant_id": [f"p{i}" for i in range(n)], "intermat_percent": [0.05 + 0.001 * i for i in range(n)]}
    )


def test_fractions_under_a_name_in_percent_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"column intermat_percent.*These look like fractions: multiply by 100"):
        read_cohort(people(20))
    percent = people(20).assign(intermat_percent=lambda t: 100 * t["intermat_percent"])
    assert not read_cohort(percent).notes
    assert len(read_cohort(people(20).assign(intermat_percent=[0.5] * 19 + [1.2]))) == 20
    assert len(read_cohort(people(20).assign(intermat_percent=0.0))) == 20
