"""A summary shows no digit beyond its Monte Carlo error."""

import pandas as pd

import muscle_bayes as mb
from muscle_bayes.inference.summary_text import summary_text


def test_last_digit_stands_at_the_errors_first() -> None:
    table = pd.DataFrame(
        {"mean": [0.000415, -1.6021], "sd": [0.05, 0.4], "mcse_mean": [0.000698, 0.02], "ess_bulk": [4790.0, 512.0]},
        index=["a", "b"],
    )
    text = summary_text(table)
    assert text.loc["a", "mean"] == "0.0004"
    assert text.loc["b", "mean"] == "-1.60"
    assert text["mcse_mean"].tolist() == ["0.0007", "0.02"]
    assert text["ess_bulk"].tolist() == ["4,790", "512"]


def test_a_fit_shows_it(small_fit: mb.Fit) -> None:
    shown, table = repr(small_fit), small_fit.summary()
    row = next(line for line in shown.splitlines() if line.startswith("lmm_z "))
    decimals = len(row.split()[1].split(".")[1])
    # The unit of the last digit is not below a tenth of the error.
    assert 10.0**-decimals > table.loc["lmm_z", "mcse_mean"] / 10
