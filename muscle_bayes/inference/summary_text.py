"""A fit's parameters as people read them: no digit beyond its Monte Carlo error."""

import math

import pandas as pd

_ON_THE_SCALE = ("mean", "sd", "2.5 %", "97.5 %")


def summary_text(parameters: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of a fit as texts.

    Parameters
    ----------
    parameters : pandas.DataFrame
        Of `Fit.summary`: one row a parameter, with `mcse_mean` where there are draws.

    Returns
    -------
    pandas.DataFrame
        Texts. Of draws, the last digit of mean, SD and limits stands where the first digit of the row's Monte Carlo error stands,
        the error itself with one digit; a maximum has three decimals.
    """
    whole = [name for name in parameters.columns if str(name).startswith("ess")]
    texts = {name: [_plain(value, name in whole) for value in parameters[name]] for name in parameters.columns}
    if "mcse_mean" in parameters.columns:
        errors = parameters["mcse_mean"].astype(float)
        decimals = [max(0, math.ceil(-math.log10(e) - 1e-9)) if e > 0 and math.isfinite(e) else 3 for e in errors]
        for name in (*_ON_THE_SCALE, "mcse_mean"):
            if name in texts:
                texts[name] = [f"{value:.{d}f}" for value, d in zip(parameters[name], decimals, strict=True)]
    return pd.DataFrame(texts, index=parameters.index)


def _plain(value: object, whole: bool) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if whole or abs(value) >= 1000 else f"{value:.3f}"
