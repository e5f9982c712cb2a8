"""A fit on disk: one NetCDF file with the draws and everything that prediction needs, and no individual rows unless asked."""

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from muscle_bayes.errors import FitFileError
from muscle_bayes.inference.array_modules import import_dask_alone
from muscle_bayes.inference.diagnostics import Diagnostics, Finding
from muscle_bayes.inference.fit import Fit
from muscle_bayes.inference.maximum import Maximum
from muscle_bayes.inference.provenance import hash_rows, software_versions
from muscle_bayes.inference.support import Support
from muscle_bayes.specification.grouping import Factor, Varying
from muscle_bayes.specification.model import Model
from muscle_bayes.specification.recipe import Column, Recipe, Standardisation
from muscle_bayes.specification.splines import SplineBasis
from muscle_bayes.specification.transforms import Smooth, call_of

FORMAT = 2


def save_fit(fit: Fit, path: str | Path, *, rows: bool = False) -> Path:
    """Write a fit to a NetCDF file.

    Parameters
    ----------
    fit : Fit
        What to write.
    path : str or pathlib.Path
        The file; it appears whole or not at all.
    rows : bool
        Whether the analysis set (individual rows) is written too.

    Returns
    -------
    pathlib.Path
        The file.

    Notes
    -----
    Without rows, the file holds draws, the recipe of the design, priors, diagnostics, quantiles, counts of cells of five or
    more participants, and mean design rows of blocks of twenty or more.
    """
    path = Path(path)
    groups: dict[str, xr.Dataset] = {}
    if fit.posterior is not None:
        groups |= {name: fit.posterior[name].to_dataset() for name in fit.posterior.children}
    support = {"profile": (("block", "column"), fit.support.profile), "profile_n": (("block",), fit.support.profile_n)}
    groups["support"] = xr.Dataset(support)
    if fit.support.joint is not None:
        groups["support"]["joint"] = fit.support.joint
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {"muscle_bayes": json.dumps(_describe(fit, rows=rows))}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    tree.to_netcdf(partial, engine="h5netcdf", invalid_netcdf=False)
    os.replace(partial, path)
    return path


def load_fit(path: str | Path, cohort: Any = None) -> Fit:
    """Read a fit from a NetCDF file.

    Parameters
    ----------
    path : str or pathlib.Path
        As `Fit.save` wrote it.
    cohort : Cohort or pandas.DataFrame, optional
        The cohort that it was fitted to, for what needs the analysis set (risks, checks). It must be the same data.

    Returns
    -------
    Fit
        With `cohort` None where neither the file nor the argument holds it.

    Raises
    ------
    FitFileError
        Where the file is none of ours, or the cohort is not the one that was fitted.
    """
    path = Path(path)
    if not path.is_file():
        raise FitFileError(str(path), "there is no such file", "Give a file that fit.save wrote")
    import_dask_alone()
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
        about = json.loads(tree.attrs["muscle_bayes"])
    except (OSError, KeyError, ValueError) as error:
        raise FitFileError(
            str(path), f"it cannot be read as a saved fit ({error})", "Give a file that fit.save wrote"
        ) from error
    if about["format"] != FORMAT:
        raise FitFileError(
            str(path), f"it has format {about['format']}, this version reads {FORMAT}", "Fit the model again"
        )

    model = Model.model_validate(about["model"])
    frame = _frame(about["rows"]) if about["rows"] else None
    recipe = _recipe(about["recipe"])
    if frame is not None:
        frame = frame.assign(
            **{name: pd.Categorical(frame[name], levels, ordered=True) for name, levels in recipe.levels.items()}
        )
    if cohort is not None:
        design = model.design(cohort)
        found = hash_rows(design.frame[about["hashed_columns"]])
        if found != about["data_hash"]:
            raise FitFileError(
                str(path),
                f"the cohort is not the one that was fitted: {len(design.y):,} participants with hash {found[:12]}, "
                f"fitted were {about['n']:,} with {about['data_hash'][:12]}",
                "Give the same table, with the same exclusions",
            )
        frame = design.frame
    groups = {name: tree[name].to_dataset() for name in ("posterior", "sample_stats") if name in tree.children}
    stored = tree["support"].to_dataset()
    return Fit(
        model=model,
        method=about["method"],
        seed=about["seed"],
        recipe=recipe,
        posterior=xr.DataTree.from_dict(groups) if groups else None,
        maximum=_maximum(about["maximum"]),
        support=Support(
            quantiles=_frame(about["quantiles"]).set_index("index").rename(columns=float).rename_axis(index=None),
            counts={name: pd.Series(count, name="count", dtype="int64") for name, count in about["counts"].items()},
            by_group=_frame(about["by_group"]),
            joint=stored.get("joint"),
            profile=stored["profile"].to_numpy(),
            profile_n=stored["profile_n"].to_numpy(),
        ),
        diagnostics=Diagnostics(
            findings=tuple(Finding(**finding) for finding in about["findings"]),
            measures=about["measures"],
            parameters=_frame(about["parameters"]).set_index("index").rename_axis(index=None),
        ),
        flow=_frame(about["flow"]),
        n=about["n"],
        events=about["events"],
        simulated=about["simulated"],
        data_hash=about["data_hash"],
        cohort=frame,
        categories=about.get("categories", {}),
    )


def _describe(fit: Fit, *, rows: bool) -> dict[str, Any]:
    recipe = fit.recipe
    maximum = None
    if fit.maximum is not None:
        maximum = {name: _plain(getattr(fit.maximum, name)) for name in Maximum.__dataclass_fields__}
    return {
        "format": FORMAT,
        "versions": software_versions(),
        "model": fit.model.model_dump(mode="json", by_alias=True),
        "method": fit.method,
        "seed": fit.seed,
        "n": fit.n,
        "events": fit.events,
        "simulated": fit.simulated,
        "data_hash": fit.data_hash,
        "hashed_columns": list(
            dict.fromkeys([fit.model.parsed_event.column, *recipe.raw_columns, *recipe.group_columns])
        ),
        "recipe": {
            "common": recipe.common,
            "terms": recipe.terms,
            "columns": [vars(column) for column in recipe.columns],
            "constants": {name: vars(z) for name, z in recipe.constants.items()},
            "levels": recipe.levels,
            "centre": recipe.centre.tolist(),
            "factors": [vars(factor) for factor in recipe.factors],
            "varying": [vars(varying) for varying in recipe.varying],
            "smooths": [
                {
                    "call": str(smooth.call),
                    "margins": [{key: _plain(value) for key, value in vars(basis).items()} for basis in smooth.margins],
                }
                for smooth in recipe.smooths
            ],
        },
        "maximum": maximum,
        "categories": fit.categories,
        "quantiles": _text(fit.support.quantiles.rename_axis(index="index").reset_index()),
        "counts": {name: count.to_dict() for name, count in fit.support.counts.items()},
        "by_group": _text(fit.support.by_group),
        "findings": [vars(finding) for finding in fit.diagnostics.findings],
        "measures": {name: _plain(value) for name, value in fit.diagnostics.measures.items()},
        "parameters": _text(fit.diagnostics.parameters.rename_axis(index="index").reset_index()),
        "flow": _text(fit.flow),
        "rows": _text(fit.cohort) if rows and fit.cohort is not None else None,
    }


def _recipe(stored: dict[str, Any]) -> Recipe:
    return Recipe(
        common=stored["common"],
        terms=tuple(tuple(term) for term in stored["terms"]),
        columns=tuple(Column(**column) for column in stored["columns"]),
        constants={name: Standardisation(**z) for name, z in stored["constants"].items()},
        levels={name: tuple(levels) for name, levels in stored["levels"].items()},
        centre=np.array(stored["centre"], dtype=float),
        factors=tuple(Factor(factor["name"], tuple(factor["levels"])) for factor in stored["factors"]),
        varying=tuple(Varying(**varying) for varying in stored["varying"]),
        smooths=tuple(_smooth(smooth) for smooth in stored["smooths"]),
    )


def _smooth(stored: dict[str, Any]) -> Smooth:
    call = call_of(stored["call"])
    assert call is not None
    return Smooth(call, tuple(SplineBasis(**margin) for margin in stored["margins"]))


def _maximum(stored: dict[str, Any] | None) -> Maximum | None:
    if stored is None:
        return None
    arrays: dict[str, Any] = {name: np.array(stored[name], dtype=float) for name in ("coefficients", "covariance")}
    effects = tuple(np.array(modes, dtype=float) for modes in stored["effects"])
    for name in ("thresholds", "joint_covariance"):
        arrays[name] = None if stored.get(name) is None else np.array(stored[name], dtype=float)
    return Maximum(**{**stored, **arrays, "effects": effects, "sds": tuple(stored["sds"])})


def _text(frame: pd.DataFrame) -> str:
    # CSV with 17 digits brings every float back bit for bit, which JSON tables of pandas do not.
    return frame.to_csv(index=False, float_format="%.17g")


def _frame(text: str) -> pd.DataFrame:
    return pd.read_csv(StringIO(text), keep_default_na=False, na_values=[""])


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
