"""A fit whose coefficients, draws and persons are known by construction."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm

from muscle_bayes.specification.event import parse_event
from muscle_bayes.specification.grouping import Factor, Varying
from muscle_bayes.specification.recipe import Column, Recipe, Standardisation

MEAN_SD = {"intermat_z": (7.2, 2.4), "lmm_z": (24.0, 5.0), "age_z": (48.0, 11.0)}
SITES = ("Augsburg", "Berlin", "Essen")
SITE_EFFECTS = np.array([-0.2, 0.05, 0.3])
SLOPES = {
    "intermat_z": 0.10, "lmm_z": -0.07, "age_z": 0.25, "sex[male]": -0.15,
    "activity[low]": 0.25, "activity[high]": 0.12, "diabetes": 0.09, "intermat_z:lmm_z": -0.04,
}  # fmt: skip
INTERCEPT = -1.4


def make_recipe(interaction: bool = True, site: bool = True) -> Recipe:
    exposure, adjustment = "exposure", "adjustment"
    columns = [
        Column("intermat_z", None, exposure), Column("lmm_z", None, exposure), Column("age_z", None, adjustment),
        Column("sex", "male", adjustment), Column("activity", "low", adjustment), Column("activity", "high", adjustment),
        Column("diabetes", None, adjustment),
    ]  # fmt: skip
    terms = [("intermat_z",), ("lmm_z",), ("age_z",), ("sex",), ("activity",), ("diabetes",)]
    if interaction:
        columns.append(Column("intermat_z:lmm_z", None, exposure))
        terms.append(("intermat_z", "lmm_z"))
    sources = {"intermat_z": "intermat_percent", "lmm_z": "lmm_cm3_per_kg_m2", "age_z": "age_years"}
    return Recipe(
        common=" + ".join(["1", *(":".join(t) for t in terms)]),
        terms=tuple(terms),
        columns=tuple(columns),
        constants={name: Standardisation(source, *MEAN_SD[name]) for name, source in sources.items()},
        levels={"sex": ("female", "male"), "activity": ("moderate", "low", "high")},
        centre=np.zeros(len(columns)),
        factors=(Factor("site", SITES),) if site else (),
        varying=(Varying("site", "1", None, column=-1),) if site else (),
    )


def make_persons(n: int, seed: int = 1) -> pd.DataFrame:
    """Persons whose exposures differ by sex, in raw units."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["female", "male"], n)
    z = rng.multivariate_normal([0, 0, 0], [[1, -0.3, 0.4], [-0.3, 1, -0.3], [0.4, -0.3, 1]], n)
    z[:, 1] += np.where(sex == "male", 0.6, -0.6)
    raw = {
        source: MEAN_SD[name][0] + MEAN_SD[name][1] * np.clip(z[:, j], -2.8, None)
        for j, (name, source) in enumerate(
            [("intermat_z", "intermat_percent"), ("lmm_z", "lmm_cm3_per_kg_m2"), ("age_z", "age_years")]
        )
    }
    return pd.DataFrame(
        raw
        | {
            "sex": sex,
            "activity": rng.choice(["moderate", "low", "high"], n, p=[0.46, 0.4, 0.14]),
            "diabetes": rng.binomial(1, 0.07, n),
            "site": rng.choice(SITES, n),
        }
    )


def make_support(recipe: Recipe, persons: pd.DataFrame, intercept: float, slopes: np.ndarray, block: int = 20):
    z = recipe.standardise(persons)
    numeric = ["intermat_z", "lmm_z", "age_z", "intermat_percent", "lmm_cm3_per_kg_m2", "age_years"]
    at = [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1]
    quantiles = pd.DataFrame({q: z[numeric].quantile(q) for q in at})
    bands = pd.cut(z["age_years"], [-np.inf, 40, 50, 60, np.inf], right=False, labels=["<40", "40-49", "50-59", "60+"])
    rows = []
    for (sex, band), group in z.groupby([z["sex"], bands], observed=True):
        row = {"sex": sex, "age_band": band, "n": len(group)}
        for name in ("intermat_z", "lmm_z"):
            row[f"{name}_q01"], row[f"{name}_q99"] = group[name].quantile([0.01, 0.99])
        rows.append(row)
    edges = np.arange(-4.125, 6.2, 0.25)
    counts = np.stack(
        [np.histogram2d(g["intermat_z"], g["lmm_z"], [edges, edges])[0] for _, g in z.groupby("sex", sort=True)]
    )
    counts[counts < 5] = 0
    centres = (edges[:-1] + edges[1:]) / 2
    joint = xr.DataArray(
        counts,
        dims=("sex", "intermat_z", "lmm_z"),
        coords={"sex": ["female", "male"], "intermat_z": centres, "lmm_z": centres},
    )
    X = recipe.matrix(persons)
    blocks = np.array_split(np.argsort(intercept + X @ slopes), len(X) // block)
    return SimpleNamespace(
        quantiles=quantiles,
        counts={name: persons[name].value_counts() for name in ("sex", "activity", "diabetes")},
        by_group=pd.DataFrame(rows),
        joint=joint,
        profile=np.array([X[b].mean(axis=0) for b in blocks]),
        profile_n=np.array([len(b) for b in blocks]),
    )


class FakeFit:
    """What estimands see of a Fit: normal draws, independent of each other, around known coefficients."""

    def __init__(
        self,
        recipe,
        slopes,
        *,
        intercept=INTERCEPT,
        sd=0.03,
        draws=4000,
        method="nuts",
        n=2000,
        seed=1,
        converged=True,
        site_sd=0.25,
    ):
        rng = np.random.default_rng(seed)
        self.recipe, self.method, self.seed, self.converged = recipe, method, seed, converged
        self.model = SimpleNamespace(
            name="fake", title="Chronic back pain", outcome="Chronic back pain", parsed_event=parse_event("cbp == 1"),
            exposures={
                "intermat_z": SimpleNamespace(contrast=2.0, adverse="high"),
                "lmm_z": SimpleNamespace(contrast=3.0, adverse="low"),
            },
        )  # fmt: skip
        self.mean = np.array([intercept, *slopes])
        self.sd = np.broadcast_to(np.asarray(sd, dtype=float), self.mean.shape)
        # Each column holds the normal's own quantiles in random order, so that every coefficient's median, mean and
        # interval are known without Monte Carlo error.
        normal = norm.ppf((np.arange(draws) + 0.5) / draws)
        self._draws = self.mean + self.sd * np.column_stack([rng.permutation(normal) for _ in self.mean])
        self._site_sd = np.full(draws, site_sd)
        self._site_effects = np.broadcast_to(SITE_EFFECTS, (draws, len(SITES)))
        self.maximum = SimpleNamespace(
            coefficients=self.mean,
            covariance=np.diag(self.sd**2),
            site_sd=0.25,
            site_effects=SITE_EFFECTS,
            sds=(0.25,) if recipe.site else (),
            effects=(SITE_EFFECTS,) if recipe.site else (),
        )
        self.cohort = make_persons(n)
        eta = intercept + recipe.matrix(self.cohort) @ self.mean[1:]
        if recipe.site:
            eta = eta + SITE_EFFECTS[recipe.site_index(self.cohort)]
        self.cohort["cbp"] = (np.random.default_rng(2).random(n) < 1 / (1 + np.exp(-eta))).astype(int)
        self.support = make_support(recipe, self.cohort, intercept, self.mean[1:])

    def coefficients(self):
        return self._draws

    def site_effects(self):
        return self._site_effects

    def site_sd(self):
        return self._site_sd

    def group_effects(self):
        return (self._site_effects,) if self.recipe.site else ()

    def group_sds(self):
        return self._site_sd[:, None] if self.recipe.site else np.empty((len(self._draws), 0))

    def mcse(self, values, kind="median"):
        # Independent draws: the textbook errors of a mean and of the median of a normal.
        return values.std(axis=0, ddof=1) / np.sqrt(len(values)) * (np.sqrt(np.pi / 2) if kind == "median" else 1.0)

    def require_converged(self, allow_unconverged):
        from muscle_bayes.errors import UnconvergedFitError

        if not self.converged and not allow_unconverged:
            raise UnconvergedFitError("fit 'fake'", "R-hat is 1.2", "Draw longer, or pass allow_unconverged=True")

    def provenance(self):
        return {
            "model": "fake", "title": "Chronic back pain", "outcome": "Chronic back pain", "method": self.method,
            "seed": self.seed, "n": len(self.cohort), "events": 436, "sites": len(self.recipe.site_levels),
            "simulated": True, "interval": 0.95, "data_hash": "0" * 16, "versions": {"muscle_bayes": "0.1.0"},
        }  # fmt: skip


def slopes_for(recipe: Recipe) -> np.ndarray:
    return np.array([SLOPES[column.label] for column in recipe.columns])


@pytest.fixture(scope="session")
def make_fit():
    """Build a FakeFit: with or without the interaction, any method, any spread."""

    def build(interaction=True, site=True, slopes=None, **settings) -> FakeFit:
        recipe = make_recipe(interaction, site)
        return FakeFit(recipe, slopes_for(recipe) if slopes is None else slopes, **settings)

    return build


@pytest.fixture(scope="session")
def fit(make_fit) -> FakeFit:
    return make_fit()
