"""Numbers as text: no digit is shown that the Monte Carlo error does not carry."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

_MINUS = "\N{MINUS SIGN}"


def decimals_shown(mcse: float, *, most: int = 2) -> int:
    """Return how many decimals a number with this Monte Carlo error may show.

    The last digit stands where the first digit of the Monte Carlo error stands, as in any statement of a measurement with
    its uncertainty: with an MCSE of 0.02 a 1.2231 is shown as 1.22, with an MCSE of 0.3 as 1.2.

    Parameters
    ----------
    mcse : float
        Monte Carlo standard error; missing (maximum likelihood) or 0 puts no limit.
    most : int
        Decimals that are shown at most.

    Returns
    -------
    int
        0 or more.
    """
    if not mcse > 0 or math.isinf(mcse):
        return most
    # 1e-9 so that an MCSE of exactly 0.01 gives two decimals in spite of the logarithm's rounding.
    return max(0, min(most, math.ceil(-math.log10(mcse) - 1e-9)))


def number_text(value: float, *, decimals: int) -> str:
    """Return a number with fixed decimals, a real minus sign and no minus before zero.

    Parameters
    ----------
    value : float
        Missing gives an empty text.
    decimals : int
        Digits after the point.

    Returns
    -------
    str
        Such as ``−0.31``.
    """
    if pd.isna(value):
        return ""
    text = f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = text[1:] if float(text.replace(",", "")) == 0 else _MINUS + text[1:]
    return text


def estimate_text(row: Mapping[Any, Any], *, most: int = 2) -> str:
    """Return ``estimate (lower to upper)``, each number with the digits that its own Monte Carlo error allows.

    Parameters
    ----------
    row : mapping
        Of an estimand's frame: `estimate, lower, upper, mcse` and, where there, `lower_mcse, upper_mcse`.
    most : int
        Decimals that are shown at most.

    Returns
    -------
    str
        Such as ``1.22 (1.13 to 1.30)``.
    """
    centre, lower, upper = (
        number_text(row[name], decimals=decimals_shown(row.get(error, math.nan), most=most))
        for name, error in (("estimate", "mcse"), ("lower", "lower_mcse"), ("upper", "upper_mcse"))
    )
    return f"{centre} ({lower} to {upper})" if lower and upper else centre


def probability_text(probability: float, *, mcse: float = math.nan, most: int = 2) -> str:
    """Return a probability; never a bare 0 or 1, which no finite number of draws shows.

    Parameters
    ----------
    probability : float
        Missing gives an empty text.
    mcse : float
        Monte Carlo standard error, where known.
    most : int
        Decimals that are shown at most.

    Returns
    -------
    str
        Such as ``0.97`` or ``> 0.99``.
    """
    if pd.isna(probability):
        return ""
    decimals = max(1, decimals_shown(mcse, most=most))
    unit = 10.0**-decimals
    if probability > 1 - unit:
        return f"> {1 - unit:.{decimals}f}"
    if probability < unit:
        return f"< {unit:.{decimals}f}"
    return f"{probability:.{decimals}f}"


def printed(frame: pd.DataFrame, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return an estimand's frame as a table of texts for reading.

    Parameters
    ----------
    frame : pandas.DataFrame
        Of an estimand.
    columns : mapping of str to str, optional
        Columns to show and their headings; by default the estimand where there are several, the term, the contrast,
        the estimate with its interval, the probability of lying above the null, and the role.

    Returns
    -------
    pandas.DataFrame
        Texts only; numbers show no digit beyond their Monte Carlo error.
    """
    level = f"{100 * frame['interval'].iloc[0]:g} %" if len(frame) else "95 %"
    several = {"estimand": "estimand"} if "estimand" in frame and len(set(frame["estimand"])) > 1 else {}
    columns = columns or {
        **several,
        "label": "term",
        "contrast": "contrast",
        "text": f"estimate ({level} interval)",
        "prob_gt_null": "P(above null)",
        "role": "role",
    }
    out = {}
    for name, heading in columns.items():
        if name not in frame or (name == "prob_gt_null" and frame[name].isna().all()):
            continue
        if name in {"prob_gt_null", "rope_share"}:
            out[heading] = [probability_text(p) for p in frame[name]]
        else:
            out[heading] = ["" if pd.isna(v) else str(v) for v in frame[name]]
    return pd.DataFrame(out, index=frame.index)
