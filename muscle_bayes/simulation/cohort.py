"""`simulate_cohort`: a NAKO-like table of participants, marked as simulated."""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes import __version__
from muscle_bayes.errors import InvalidValueError
from muscle_bayes.simulation.cohort_generator import Columns, generate
from muscle_bayes.simulation.cohort_incomplete import flow_counts, spoil
from muscle_bayes.simulation.cohort_parameters import CohortParameters, load_parameters

ANALYSED = 27_518
IMAGED = 30_868
LARGEST_INTERACTION = 0.5
NOTE = (
    "Simulated data: no row is a person. Calibrated to the published figures of Ziegelmayer et al. 2025 "
    "(doi 10.1016/j.lanepe.2025.101323); what these do not say was chosen (muscle_bayes/simulation/cohort_parameters.toml)."
)

_MODEL_NAMES = {"constant": "Intercept", "male": "sex[male]", "low": "activity[low]", "high": "activity[high]"}


def simulate_cohort(
    n: int | None = None, seed: int = 1, complete: bool = True, interaction: float = 0.0
) -> pd.DataFrame:
    """Simulate a cohort like that of the German National Cohort's imaging study, one row a participant.

    Sex, age, activity, diagnoses, chronic back pain (CBP), its odds ratios per 2 Z of InterMAT (1.22) and LMM (0.87), and
    those of pain intensity >= 4 (1.22 and 0.63) are calibrated to the published figures. The truth is logistic and linear in
    the Z-scores; five sites have fixed effects that are the same for every seed.

    Parameters
    ----------
    n : int, optional
        Number of participants; 27,518 by default, or, with `complete=False`, number of imaged, 30,868 by default.
    seed : int
        Seed of the random numbers; the same seed gives the same table.
    complete : bool
        Whether the table is the analysis set. With False it is what was imaged: missing values and marks for exclusion that
        lead, by `muscle_bayes.simulation.EXCLUSIONS` and then complete cases, to exactly the rows of the complete table
        of the same seed.
    interaction : float
        Coefficient of InterMAT Z x LMM Z on the log odds of CBP, between -0.5 and 0.5. The intercept moves with it, so
        that the prevalence stays; the odds ratios per 2 Z then hold at the mean of the other exposure.

    Returns
    -------
    pandas.DataFrame
        `participant_id`, `session_id`, `site`, `sex` {female, male}, `age_years`, `height_cm`, `weight_kg`,
        `bmi_kg_m2`, `activity_met_min_week`, `activity` {moderate 500-5000, low, high}, `diabetes`, `dyslipidemia`,
        `osteoporosis`, `osteoarthritis`, `cbp` (0/1), `pain_nrs` (0-10), `simulated` (1); `intermat_percent`
        (threshold; the exposure), `lean_cm3`, `lmm_cm3_per_kg_m2`, and InterMAT and LMM by the definitions
        `fraction` and `mixture`. With `complete=False` also `qc`, `fat_water_swap`, `truncated`, and 0/1 columns are
        float. `.attrs` has `simulated`, `seed`, `generator`, `note` and `truth` (coefficients by model term, site
        effects, Z constants of the population).

    Raises
    ------
    InvalidValueError
        Where `n` is not a positive integer, `seed` not a non-negative one, or `interaction` out of range.

    References
    ----------
    Ziegelmayer et al. Lancet Reg Health Eur 2025;54:101323.
    """
    rows = _integer("n", (ANALYSED if complete else IMAGED) if n is None else n, smallest=1)
    seed = _integer("seed", seed, smallest=0)
    if not (isinstance(interaction, Real) and abs(float(interaction)) <= LARGEST_INTERACTION):
        raise InvalidValueError(
            where="interaction",
            problem=f"{interaction!r} is not a number between -{LARGEST_INTERACTION} and {LARGEST_INTERACTION}, the "
            "range over which the intercept was calibrated",
            remedy="Give a log odds-ratio coefficient in that range; 0.1 is already a strong interaction",
        )
    parameters = load_parameters()
    if complete:
        table = _table(generate(rows, np.random.default_rng(seed), parameters, interaction), parameters, first=1)
    else:
        table = _imaged(rows, seed, parameters, interaction)
    table.attrs = {
        "simulated": True,
        "seed": seed,
        "generator": f"muscle_bayes.simulate_cohort {__version__}",
        "note": NOTE,
        "complete": complete,
        "truth": truth(parameters, interaction),
    }
    return table


def truth(parameters: CohortParameters, interaction: float = 0.0) -> dict[str, Any]:
    """Return what a fit to the simulated cohort should recover.

    Parameters
    ----------
    parameters : CohortParameters
        Parameters of the generator.
    interaction : float
        As in `simulate_cohort`.

    Returns
    -------
    dict
        `cbp` and `pain_nrs >= 4`: coefficients (log odds ratios, per Z for numeric terms) by the name of the model term,
        site effects in `1|site`, their root mean square in `1|site_sd`; `standardisation`: mean and SD behind each Z;
        `pain_cuts`: thresholds of NRS 1 to 10 on the latent scale of `pain_nrs >= 4`. JSON types only.
    """
    shift = float(np.interp(interaction, parameters.recentre["interaction"], parameters.recentre["shift"]))
    result: dict[str, Any] = {}
    for outcome, terms in {"cbp": parameters.cbp, "pain_nrs >= 4": parameters.pain}.items():
        effects = parameters.sites["cbp" if outcome == "cbp" else "pain"]
        result[outcome] = {_MODEL_NAMES.get(name, name): value for name, value in terms.items()} | {
            "intermat_z:lmm_z": 0.0,
            "1|site": dict(zip(parameters.sites["names"], effects, strict=True)),
            "1|site_sd": math.sqrt(sum(e * e for e in effects) / len(effects)),
        }
    result["cbp"]["Intercept"] += shift
    result["cbp"]["intermat_z:lmm_z"] = float(interaction)
    result["standardisation"] = {name: dict(scale) for name, scale in parameters.standardisation.items()}
    result["pain_cuts"] = list(parameters.pain_cuts)
    return result


def _integer(name: str, value: object, smallest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < smallest:
        raise InvalidValueError(
            where=name,
            problem=f"{value!r} is not an integer of {smallest} or more",
            remedy=f"Give {name} as a whole number, for example {ANALYSED if name == 'n' else 1}",
        )
    return int(value)


def _table(columns: Columns, parameters: CohortParameters, first: int) -> pd.DataFrame:
    """Name and order the columns; ids count from `first`."""
    n = len(columns["male"])
    c = columns
    integer = {
        name: c[name].astype("int64")
        for name in ("diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis", "cbp", "pain_nrs")
    }
    activity = np.select([c["low"] == 1, c["high"] == 1], ["low", "high"], "moderate")
    return pd.DataFrame(
        {
            "participant_id": [f"sim{i:06d}" for i in range(first, first + n)],
            "session_id": "baseline",
            "site": np.asarray(parameters.sites["names"])[c["site"].astype(np.intp)],
            "sex": np.where(c["male"] == 1, "male", "female"),
            "age_years": c["age_years"],
            "height_cm": c["height_cm"],
            "weight_kg": c["weight_kg"],
            "bmi_kg_m2": c["bmi_kg_m2"],
            "activity_met_min_week": c["activity_met_min_week"],
            "activity": activity,
            **integer,
            "simulated": 1,
            "intermat_percent": c["intermat_percent"],
            "lean_cm3": c["lmm_cm3_per_kg_m2"] * c["bmi_kg_m2"],
            "lmm_cm3_per_kg_m2": c["lmm_cm3_per_kg_m2"],
            **{
                f"{prefix}_{name}_{unit}": c[f"{prefix}_{name}_{unit}"]
                for prefix, unit in (("intermat", "percent"), ("lmm", "cm3_per_kg_m2"))
                for name in ("fraction", "mixture")
            },
        }
    )


def _imaged(imaged: int, seed: int, parameters: CohortParameters, interaction: float) -> pd.DataFrame:
    """Return the analysed of this seed among those who were imaged but not analysed, in random order."""
    counts = flow_counts(imaged, parameters.exclusions)
    analysed = counts["analysed"]
    rng = np.random.default_rng([seed, 1])
    parts = [generate(analysed, np.random.default_rng(seed), parameters, interaction)]
    parts.append(generate(imaged - analysed, rng, parameters, interaction))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table = _table(columns, parameters, first=1)
    reasons = np.repeat(list(counts), list(counts.values()))
    return spoil(table, reasons, rng).iloc[rng.permutation(imaged)].reset_index(drop=True)
