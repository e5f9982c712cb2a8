"""Posterior draws as plain arrays, and as the DataTree that people explore in ArviZ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from muscle_bayes.specification.group_models import blocks_of
from muscle_bayes.specification.recipe import Recipe


@dataclass(frozen=True)
class Draws:
    """Equally weighted draws of a logistic model with random intercepts and slopes.

    Attributes
    ----------
    intercept : numpy.ndarray, shape (chains, draws)
        Of the columns as they are (not centred), as Bambi reports it.
    coefficients : numpy.ndarray, shape (chains, draws, p)
        In the order of `Recipe.columns`.
    effects : tuple of numpy.ndarray, shape (chains, draws, J)
        For each of `Recipe.varying`, what each group adds to the average coefficient.
    sds : tuple of numpy.ndarray, shape (chains, draws)
        For each of `Recipe.varying`, the standard deviation of these.
    thresholds : numpy.ndarray, shape (chains, draws, K - 1), optional
        Of an ordered outcome, of the columns as they are; its intercept is 0.
    """

    intercept: np.ndarray
    coefficients: np.ndarray
    effects: tuple[np.ndarray, ...] = ()
    sds: tuple[np.ndarray, ...] = ()
    thresholds: np.ndarray | None = None

    @classmethod
    def from_centred(
        cls, centred: np.ndarray, recipe: Recipe, effects: Sequence[np.ndarray] = (), sds: Sequence[np.ndarray] = ()
    ) -> "Draws":
        """Build draws from coefficients of the centred design.

        Parameters
        ----------
        centred : numpy.ndarray, shape (chains, draws, 1 + p)
            The intercept of the centred columns first.
        recipe : Recipe
            With the column means.
        effects, sds : sequence of numpy.ndarray, shapes (chains, draws, J) and (chains, draws)
            One of each for each of `Recipe.varying`, whose columns are not centred.

        Returns
        -------
        Draws
            With the intercept of the columns as they are.
        """
        coefficients = centred[..., 1:]
        intercept = centred[..., 0] - coefficients @ recipe.centre
        return cls(intercept, coefficients, tuple(effects), tuple(sds))

    @property
    def flat(self) -> "Draws":
        """The same draws, chain after chain, with one axis for them: (S,), (S, p), and (S, J) and (S,) of each that varies."""
        size = self.intercept.size
        return Draws(
            self.intercept.reshape(-1),
            self.coefficients.reshape(size, self.coefficients.shape[-1]),
            tuple(effects.reshape(size, effects.shape[-1]) for effects in self.effects),
            tuple(sd.reshape(-1) for sd in self.sds),
            None if self.thresholds is None else self.thresholds.reshape(size, -1),
        )

    def to_dataset(self, recipe: Recipe) -> xr.Dataset:
        """Return the posterior group with Bambi's names, dimensions and coordinates.

        Parameters
        ----------
        recipe : Recipe
            Names of terms, levels and sites.

        Returns
        -------
        xarray.Dataset
            `Intercept` (of an ordered outcome `threshold`), one variable a term, ``1|site_sigma`` and ``1|site``, and likewise
            for slopes.
        """
        chains, draws = self.intercept.shape
        sample = ("chain", "draw")
        data: dict[str, xr.DataArray] = {}
        if self.thresholds is None:
            data["Intercept"] = xr.DataArray(self.intercept, dims=sample)
        else:
            places = {"threshold_dim": pd.RangeIndex(self.thresholds.shape[-1])}
            data["threshold"] = xr.DataArray(self.thresholds, dims=(*sample, "threshold_dim"), coords=places)
        for label in dict.fromkeys(column.term for column in recipe.columns):
            at = [i for i, column in enumerate(recipe.columns) if column.term == label]
            levels = [recipe.columns[i].level for i in at]
            values = self.coefficients[..., at]
            if levels[0] is None:
                data[label] = xr.DataArray(values[..., 0], dims=sample)
            else:
                data[label] = xr.DataArray(
                    values, dims=(*sample, f"{label}_dim"), coords={f"{label}_dim": coordinate(levels)}
                )
        factors = {factor.name: factor for factor in recipe.factors}
        for name, members in blocks_of(recipe.varying).items():
            first = recipe.varying[members[0]]
            factor = factors[first.factor]
            coords = {factor.dim: coordinate(factor.levels)}
            if first.level is None:
                data[f"{name}_sigma"] = xr.DataArray(self.sds[members[0]], dims=sample)
                data[name] = xr.DataArray(self.effects[members[0]], dims=(*sample, factor.dim), coords=coords)
                continue
            own = f"{first.term}__expr_dim"
            of_levels = {own: coordinate([str(recipe.varying[t].level) for t in members])}
            sds, effects = (np.stack([values[t] for t in members], axis=-1) for values in (self.sds, self.effects))
            data[f"{name}_sigma"] = xr.DataArray(sds, dims=(*sample, own), coords=of_levels)
            data[name] = xr.DataArray(effects, dims=(*sample, factor.dim, own), coords={**coords, **of_levels})
        return xr.Dataset(data, coords={"chain": pd.RangeIndex(chains), "draw": pd.RangeIndex(draws)})

    @classmethod
    def from_dataset(cls, posterior: xr.Dataset, recipe: Recipe) -> "Draws":
        """Read draws back from a posterior group.

        Parameters
        ----------
        posterior : xarray.Dataset
            As `to_dataset` makes it, or as Bambi names it.
        recipe : Recipe
            Names of terms, levels and sites.

        Returns
        -------
        Draws
            Plain arrays.
        """
        sample = ("chain", "draw")
        thresholds = None
        if "threshold" in posterior:
            thresholds = posterior["threshold"].transpose(*sample, "threshold_dim").values
            intercept = np.zeros(thresholds.shape[:2])
        else:
            intercept = posterior["Intercept"].transpose(*sample).values
        blocks = []
        for label in dict.fromkeys(column.term for column in recipe.columns):
            values = posterior[label]
            levels = [column.level for column in recipe.columns if column.term == label]
            if levels[0] is None:
                blocks.append(values.transpose(*sample).values[..., None])
            else:
                blocks.append(values.sel({f"{label}_dim": levels}).transpose(*sample, f"{label}_dim").values)
        coefficients = np.concatenate(blocks, axis=-1) if blocks else np.empty((*intercept.shape, 0))
        all_effects, all_sds = [], []
        factors = {factor.name: factor for factor in recipe.factors}
        for one in recipe.varying:
            effects, sd = posterior[one.name], posterior[f"{one.name}_sigma"]
            if one.level is not None:
                level = {f"{one.term}__expr_dim": one.level}
                effects, sd = effects.sel(level), sd.sel(level)
            factor = factors[one.factor]
            effects = effects.sel({factor.dim: list(factor.levels)})
            all_effects.append(effects.transpose(*sample, factor.dim).values)
            all_sds.append(sd.transpose(*sample).values)
        return cls(intercept, coefficients, tuple(all_effects), tuple(all_sds), thresholds)


def coordinate(values: Sequence[Any] | np.ndarray) -> pd.Index:
    """Return coordinates as a pandas index, strings as objects.

    From an array xarray would make the same index, but would first import sparse and Numba, 1.5 s, to see what it is.
    """
    index = pd.Index(values)
    return index if pd.api.types.is_numeric_dtype(index) else index.astype(object)
