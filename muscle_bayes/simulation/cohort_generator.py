"""From random numbers to a cohort: plain functions on arrays.

The random numbers are drawn first (`draw_noise`) and everything after is a deterministic function of them and of the
parameters, so that the calibration can move parameters with the same people (common random numbers).

Order of causes: age, sex, site -> height, BMI -> activity, diagnoses -> InterMAT, LMM -> chronic back pain (CBP), pain.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_ndtr, ndtr

from muscle_bayes.simulation.cohort_parameters import CohortParameters, Terms

Array = NDArray[np.float64]
Columns = dict[str, Array]

ACTIVITY_LOW_BELOW = 500.0
ACTIVITY_HIGH_ABOVE = 5000.0
DIAGNOSES = ("diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis")
NUMERIC_TERMS = {"age_z": "age_years", "intermat_z": "intermat_percent", "lmm_z": "lmm_cm3_per_kg_m2"}

_UNIFORM = ("age", "sex", "site", *DIAGNOSES)
_NORMAL = ("height", "bmi", "activity", "intermat", "lmm", "cbp", "pain", "fraction", "mixture")


def draw_noise(n: int, rng: np.random.Generator) -> Columns:
    """Draw the independent random numbers behind `n` persons.

    Parameters
    ----------
    n : int
        Number of persons.
    rng : numpy.random.Generator
        Source of the numbers.

    Returns
    -------
    dict of str to (n,) float64
        Uniform numbers for age, sex, site and diagnoses, standard normal ones for the rest.
    """
    noise = {name: rng.random(n) for name in _UNIFORM}
    noise.update({name: rng.standard_normal(n) for name in _NORMAL})
    return noise


def linear(terms: Terms, columns: Mapping[str, Array]) -> Array:
    """Sum coefficient x covariate over the terms that are covariates, plus the constant.

    Parameters
    ----------
    terms : mapping of str to float
        Coefficients; keys that are not columns (`sd`, `correlation`) belong to other functions and are passed over.
    columns : mapping of str to (n,) float64
        Covariates.

    Returns
    -------
    (n,) float64
        The linear predictor.
    """
    total = np.full(len(columns["male"]), terms.get("constant", 0.0))
    for name, values in columns.items():
        if terms.get(name):
            total += terms[name] * values
    return total


def covariates(noise: Columns, parameters: CohortParameters) -> Columns:
    """Everything that comes before the muscle.

    Parameters
    ----------
    noise : dict of str to (n,) float64
        From `draw_noise`.
    parameters : CohortParameters
        Parameters of the generator.

    Returns
    -------
    dict of str to (n,) float64
        `site` (index), `male`, `age_years`, `age_decades` (from age 50), `height_cm`, `weight_kg`, `bmi_kg_m2`,
        `bmi_z` (BMI given age and sex), `activity_met_min_week`, `low`, `high`, and the four diagnoses (0/1).
    """
    p = parameters
    columns: Columns = {
        # Without the last bound, so that a sum of 1 - 1e-16 cannot make a sixth site.
        "site": np.searchsorted(np.cumsum(p.sites["shares"][:-1]), noise["site"], side="right").astype(float),
        "male": (noise["sex"] < p.male_share).astype(float),
        "age_years": np.round(np.interp(noise["age"], p.age["probabilities"], p.age["years"]), 1),
    }
    columns["age_decades"] = (columns["age_years"] - 50.0) / 10.0
    columns["bmi_z"] = noise["bmi"]
    columns["height_cm"] = np.round(linear(p.height_cm, columns) + p.height_cm["sd"] * noise["height"], 1)
    bmi = np.exp(linear(p.bmi_kg_m2, columns) + p.bmi_kg_m2["sd"] * noise["bmi"])
    columns["weight_kg"] = np.round(bmi * (columns["height_cm"] / 100.0) ** 2, 1)
    columns["bmi_kg_m2"] = columns["weight_kg"] / (columns["height_cm"] / 100.0) ** 2

    latent = linear(p.activity, columns) + noise["activity"]
    # Roots of MET-minutes are near normal, so that interpolating them leaves no visible kinks.
    root = np.interp(latent, p.activity["knots"], np.sqrt(p.activity["met_min_week"]))
    columns["activity_met_min_week"] = np.round(root**2)
    columns["low"] = (columns["activity_met_min_week"] < ACTIVITY_LOW_BELOW).astype(float)
    columns["high"] = (columns["activity_met_min_week"] > ACTIVITY_HIGH_ABOVE).astype(float)
    for name in DIAGNOSES:
        columns[name] = (noise[name] < expit(linear(p.diagnoses[name], columns))).astype(float)
    return columns


def exposures(columns: Columns, noise: Columns, parameters: CohortParameters) -> Columns:
    """InterMAT by its threshold definition, and LMM.

    Log InterMAT and LMM are linear in the covariates with correlated normal residuals.

    Parameters
    ----------
    columns : dict of str to (n,) float64
        From `covariates`.
    noise : dict of str to (n,) float64
        From `draw_noise`.
    parameters : CohortParameters
        Parameters of the generator.

    Returns
    -------
    dict of str to (n,) float64
        `intermat_percent`, `lmm_cm3_per_kg_m2`.
    """
    fat, lean = parameters.log_intermat, parameters.lmm
    correlation = lean["correlation"]
    residual = correlation * noise["intermat"] + np.sqrt(1.0 - correlation**2) * noise["lmm"]
    lean_sd = lean["sd"] * np.where(columns["male"] == 1.0, 1.0, lean["female_sd_ratio"])
    # The limits keep a percentage a percentage and a volume a volume; they lie some 5 SD from any group's mean.
    intermat = np.minimum(np.exp(linear(fat, columns) + fat["sd"] * noise["intermat"]), 80.0)
    lmm = np.maximum(linear(lean, columns) + lean_sd * residual, 2.0)
    return {"intermat_percent": intermat, "lmm_cm3_per_kg_m2": lmm}


def adipose_definitions(intermat: Array, lmm: Array, noise: Columns, parameters: CohortParameters) -> Columns:
    """InterMAT by the definitions `fraction` and `mixture`, and the LMM that each leaves of the same compartment.

    Parameters
    ----------
    intermat : (n,) float64
        InterMAT by threshold (%).
    lmm : (n,) float64
        LMM by threshold (cm3/(kg/m2)).
    noise : dict of str to (n,) float64
        From `draw_noise`.
    parameters : CohortParameters
        Parameters of the generator.

    Returns
    -------
    dict of str to (n,) float64
        `intermat_{fraction,mixture}_percent`, `lmm_{fraction,mixture}_cm3_per_kg_m2`.
    """
    columns: Columns = {}
    for name, terms in parameters.adipose.items():
        mean = terms["constant"] + terms["slope"] * intermat
        percent = np.clip(mean * np.exp(terms["log_sd"] * noise[name] - 0.5 * terms["log_sd"] ** 2), 0.0, 95.0)
        columns[f"intermat_{name}_percent"] = percent
        columns[f"lmm_{name}_cm3_per_kg_m2"] = lmm * (100.0 - percent) / (100.0 - intermat)
    return columns


def model_terms(columns: Columns, parameters: CohortParameters) -> Columns:
    """Return the covariates of the outcome models, numeric ones as Z-scores of the population.

    Parameters
    ----------
    columns : dict of str to (n,) float64
        Covariates and exposures.
    parameters : CohortParameters
        Parameters of the generator.

    Returns
    -------
    dict of str to (n,) float64
        `male`, `low`, `high`, the diagnoses, `age_z`, `intermat_z`, `lmm_z`.
    """
    terms = {name: columns[name] for name in ("male", "low", "high", *DIAGNOSES)}
    for name, source in NUMERIC_TERMS.items():
        scale = parameters.standardisation[name]
        terms[name] = (columns[source] - scale["mean"]) / scale["sd"]
    return terms


def cbp_predictor(columns: Columns, parameters: CohortParameters, interaction: float = 0.0) -> Array:
    """Return the log odds of chronic back pain.

    Parameters
    ----------
    columns : dict of str to (n,) float64
        Covariates and exposures.
    parameters : CohortParameters
        Parameters of the generator.
    interaction : float
        Coefficient of InterMAT Z x LMM Z. The intercept moves with it so that the prevalence stays.

    Returns
    -------
    (n,) float64
        Log odds.
    """
    p, terms = parameters, model_terms(columns, parameters)
    predictor = linear(p.cbp, terms) + np.asarray(p.sites["cbp"])[columns["site"].astype(np.intp)]
    if interaction:
        shift = np.interp(interaction, p.recentre["interaction"], p.recentre["shift"])
        predictor += interaction * terms["intermat_z"] * terms["lmm_z"] + shift
    return predictor


def pain_predictor(columns: Columns, parameters: CohortParameters) -> Array:
    """Return the log odds of pain intensity >= 4.

    Parameters
    ----------
    columns : dict of str to (n,) float64
        Covariates and exposures.
    parameters : CohortParameters
        Parameters of the generator.

    Returns
    -------
    (n,) float64
        Log odds.
    """
    p = parameters
    site = np.asarray(p.sites["pain"])[columns["site"].astype(np.intp)]
    return linear(p.pain, model_terms(columns, p)) + site


def outcomes(cbp: Array, pain: Array, noise: Columns, parameters: CohortParameters) -> Columns:
    """Draw chronic back pain (0/1) and pain intensity (0-10).

    Both have logistic residuals, joined by a Gaussian copula: CBP is exactly logistic in its own predictor, and pain
    intensity exactly a cumulative logit in its own, whatever the correlation between the two.

    Parameters
    ----------
    cbp, pain : (n,) float64
        Log odds of CBP and of pain intensity >= 4.
    noise : dict of str to (n,) float64
        From `draw_noise`.
    parameters : CohortParameters
        Parameters of the generator.

    Returns
    -------
    dict of str to (n,) float64
        `cbp`, `pain_nrs`.
    """
    rho = parameters.pain_correlation
    normal = rho * noise["cbp"] + np.sqrt(1.0 - rho**2) * noise["pain"]
    # The logit of the normal's CDF turns a normal residual into a logistic one.
    severity = pain + log_ndtr(normal) - log_ndtr(-normal)
    return {
        "cbp": (ndtr(noise["cbp"]) > expit(-cbp)).astype(float),
        "pain_nrs": np.searchsorted(parameters.pain_cuts, severity).astype(float),
    }


def generate(n: int, rng: np.random.Generator, parameters: CohortParameters, interaction: float = 0.0) -> Columns:
    """Draw a complete cohort.

    Parameters
    ----------
    n : int
        Number of persons.
    rng : numpy.random.Generator
        Source of the random numbers.
    parameters : CohortParameters
        Parameters of the generator.
    interaction : float
        Coefficient of InterMAT Z x LMM Z on the log odds of CBP.

    Returns
    -------
    dict of str to (n,) float64
        Covariates, exposures by three definitions, `cbp`, `pain_nrs`.
    """
    noise = draw_noise(n, rng)
    columns = covariates(noise, parameters)
    columns |= exposures(columns, noise, parameters)
    columns |= adipose_definitions(columns["intermat_percent"], columns["lmm_cm3_per_kg_m2"], noise, parameters)
    predictors = cbp_predictor(columns, parameters, interaction), pain_predictor(columns, parameters)
    return columns | outcomes(*predictors, noise, parameters)
