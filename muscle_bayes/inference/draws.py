"""Posterior draws as plain arrays, and as the DataTree that people explore in ArviZ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from muscle_bayes.specification.recipe import Recipe


@dataclass(frozen=True)
class Draws:
    """Equally weighted draws of a logistic model with a random site intercept.

    Attributes
    ----------
    intercept : numpy.ndarray, shape (chains, draws)
        Of the columns as they are (not centred), as Bambi reports it.
    coefficients : numpy.ndarray, shape (chains, draws, p)
        In the order of `Recipe.columns`.
    site_effects : numpy.ndarray, shape (chains, draws, J)
        Log odds of each site against the typical one; J is 0 without a site term.
    site_sd : numpy.ndarray, shape (chains, draws) or None
        Their standard deviation; None without a site term.
    """

    intercept: np.ndarray
    coefficients: np.ndarray
    site_effects: np.ndarray
    site_sd: np.ndarray | None

    @classmethod
    def from_centred(
        cls, centred: np.ndarray, recipe: Recipe, site_effects: np.ndarray | None, site_sd: np.ndarray | None
    ) -> "Draws":
        """Build draws from coefficients of the centred design.

        Parameters
        ----------
        centred : numpy.ndarray, shape (chains, draws, 1 + p)
            The intercept of the centred columns first.
        recipe : Recipe
            With the column means.
        site_effects : numpy.ndarray, shape (chains, draws, J), optional
            Log odds.
        site_sd : numpy.ndarray, shape (chains, draws), optional
            Log odds.

        Returns
        -------
        Draws
            With the intercept of the columns as they are.
        """
        coefficients = centred[..., 1:]
        intercept = centred[..., 0] - coefficients @ recipe.centre
        effects = np.empty((*intercept.shape, 0)) if site_effects is None else site_effects
        return cls(intercept, coefficients, effects, site_sd)

    @property
    def flat(self) -> "Draws":
        """The same draws, chain after chain, with one axis for them: (S,), (S, p), (S, J), (S,)."""
        return Draws(
            self.intercept.reshape(-1),
            self.coefficients.reshape(self.intercept.size, self.coefficients.shape[-1]),
            self.site_effects.reshape(self.intercept.size, self.site_effects.shape[-1]),
            None if self.site_sd is None else self.site_sd.reshape(-1),
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
            `Intercept`, one variable a term, ``1|site_sigma`` and ``1|site``.
        """
        chains, draws = self.intercept.shape
        sample = ("chain", "draw")
        data: dict[str, xr.DataArray] = {"Intercept": xr.DataArray(self.intercept, dims=sample)}
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
        if recipe.site and self.site_sd is not None:
            name, dim = f"1|{recipe.site}", f"{recipe.site}__factor_dim"
            data[f"{name}_sigma"] = xr.DataArray(self.site_sd, dims=sample)
            data[name] = xr.DataArray(
                self.site_effects, dims=(*sample, dim), coords={dim: coordinate(recipe.site_levels)}
            )
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
        if recipe.site is None:
            return cls(intercept, coefficients, np.empty((*intercept.shape, 0)), None)
        name, dim = f"1|{recipe.site}", f"{recipe.site}__factor_dim"
        effects = posterior[name].sel({dim: list(recipe.site_levels)}).transpose(*sample, dim).values
        return cls(intercept, coefficients, effects, posterior[f"{name}_sigma"].transpose(*sample).values)


def coordinate(values: Sequence[Any] | np.ndarray) -> pd.Index:
    """Return coordinates as a pandas index, strings as objects.

    From an array xarray would make the same index, but would first import sparse and Numba, 1.5 s, to see what it is.
    """
    index = pd.Index(values)
    return index if pd.api.types.is_numeric_dtype(index) else index.astype(object)
