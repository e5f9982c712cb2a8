"""Small tables that the cohort tests start from."""

import pandas as pd
import pytest


@pytest.fixture
def participants() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "participant_id": ["0007", "0012", "0100", "0231"],
            "session_id": ["1", "1", "1", "1"],
            "site": ["Berlin", "Essen", "Berlin", "Essen"],
            "sex": ["female", "male", "female", "male"],
            "age_years": [34.0, 51.0, 62.0, 70.0],
            "height_cm": [165.0, 180.0, 158.0, 174.0],
            "weight_kg": [60.0, 81.0, 70.0, 90.0],
            "activity_met_min_week": [499.0, 500.0, 5000.0, 5001.0],
            "cbp": [0, 1, 1, 0],
        }
    )


@pytest.fixture
def measurements() -> pd.DataFrame:
    """Left and right of the four; volumes and shares that can be pooled by hand."""
    rows = []
    for i, name in enumerate(["0007", "0012", "0100", "0231"]):
        for side, volume, share in (("left", 300.0 + 10 * i, 8.0), ("right", 200.0, 3.0)):
            defined = volume * 0.98
            rows.append(
                {
                    "participant_id": name,
                    "session_id": "1",
                    "muscle": "autochthonous",
                    "side": side,
                    "region": "trunk",
                    "compartment": "labels",
                    "backend": "labelmap",
                    "weights_sha256": "a" * 64,
                    "compartment_cm3": volume,
                    "undefined_percent": 2.0,
                    "truncated": 0,
                    "intermat_threshold_percent": share,
                    "intermat_fraction_percent": 2 * share,
                    "lean_threshold_cm3": defined * (1 - share / 100),
                    "lean_fraction_cm3": defined * (1 - 2 * share / 100),
                    "qc": "pass",
                    "simulated": 0,
                }
            )
    return pd.DataFrame(rows)
