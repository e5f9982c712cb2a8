"""A column in percent that was given in shares is not taken in silence."""

import pandas as pd

from muscle_bayes.cohort import read_cohort


def test_percent_that_looks_like_shares_is_noted() -> None:
    table = pd.DataFrame(
        {"participant_id": [f"p{i}" for i in range(20)], "intermat_percent": [0.05 + 0.001 * i for i in range(20)]}
    )
    assert any("multiply them by 100" in note for note in read_cohort(table).notes)
    assert not read_cohort(table.assign(intermat_percent=lambda t: 100 * t["intermat_percent"])).notes
