"""The interactive nomogram: one HTML file that opens from disk, needs no network and sends nothing."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any


def nomogram_html(result: Any, path: str | Path | None = None, *, draws: int = 1000) -> str:
    """Return a nomogram as a self-contained page: controls, the person's posterior, what each predictor contributes.

    Parameters
    ----------
    result : Nomogram
        Of `nomogram`.
    path : str or pathlib.Path, optional
        Also write it there.
    draws : int
        Posterior draws to embed, evenly thinned; 1,000 make about 0.2 MB.

    Returns
    -------
    str
        The HTML. Probabilities equal those of the embedded draws to rounding; flags, sites and intervals are those of
        `Nomogram.predict`.

    Raises
    ------
    EstimandError
        Where a page cannot build the model's design rows.
    """
    page = files("muscle_bayes.plots") / "page"
    parts = {name: (page / f"nomogram.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    # "<" never stands in the data as such: no text of a study can end the script element.
    data = json.dumps(result.embedded(draws), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    html = parts["html"].replace("/*STYLE*/", parts["css"]).replace("/*SCRIPT*/", parts["js"]).replace("/*DATA*/", data)
    if path is not None:
        Path(path).write_text(html, encoding="utf-8")
    return html
