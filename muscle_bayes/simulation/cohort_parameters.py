"""The parameters of the simulated cohort, read from `cohort_parameters.toml`.

`benchmarks/calibrate_cohort.py` writes that file: it solves the published targets and notes what was achieved. The file
also holds, in its section `choices`, everything that the paper does not say and that had to be chosen.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

PARAMETERS_FILE = "cohort_parameters.toml"

Terms = Mapping[str, float]
"""Coefficients by covariate name; `constant` is the value where every covariate is 0."""


@dataclass(frozen=True)
class CohortParameters:
    """Everything that the generator needs, in raw units.

    Attributes
    ----------
    age : mapping
        `probabilities` and `years`: the quantile function of age, linear in between.
    male_share : float
        Share of men.
    sites : mapping
        `names`, `shares`, and the fixed site effects on the logit scale, `cbp` and `pain`.
    height_cm, bmi_kg_m2 : mapping
        Terms and `sd`; BMI's are on the log scale.
    activity : mapping
        Terms of the latent activity (noise SD 1), its `knots` and their `met_min_week`.
    diagnoses : mapping of str to Terms
        Logistic models, in the order in which they are drawn.
    log_intermat, lmm : Terms
        Linear models of log InterMAT (%) and LMM (cm3/(kg/m2)); `sd` of the residuals, `correlation` between them
        (in `lmm`), `female_sd_ratio` (residual SD of women against men).
    standardisation : mapping
        `mean` and `sd` in the population of `age_z`, `intermat_z`, `lmm_z`.
    cbp, pain : Terms
        Coefficients on the logit scale, per Z for the three numeric terms.
    pain_cuts : tuple of float
        Ten thresholds of the latent pain severity; the fourth (NRS >= 4) is 0.
    pain_correlation : float
        Gaussian-copula correlation between the residuals of CBP and pain.
    adipose : mapping of str to Terms
        How the definitions `fraction` and `mixture` follow from `threshold`.
    recentre : mapping
        `interaction` and the `shift` of the CBP intercept that keeps the prevalence.
    exclusions : mapping
        Counts of the steps from the imaged to the analysed.
    """

    age: Mapping[str, list[float]]
    male_share: float
    sites: Mapping[str, Any]
    height_cm: Terms
    bmi_kg_m2: Terms
    activity: Mapping[str, Any]
    diagnoses: Mapping[str, Terms]
    log_intermat: Terms
    lmm: Terms
    standardisation: Mapping[str, Mapping[str, float]]
    cbp: Terms
    pain: Terms
    pain_cuts: tuple[float, ...]
    pain_correlation: float
    adipose: Mapping[str, Terms]
    recentre: Mapping[str, list[float]]
    exclusions: Mapping[str, int]


def parameters_from(document: Mapping[str, Any]) -> CohortParameters:
    """Build the parameters from a parsed TOML document.

    Parameters
    ----------
    document : mapping
        The document; its table `parameters` has one key for each field of `CohortParameters`.

    Returns
    -------
    CohortParameters
        The same values.
    """
    values = dict(document["parameters"])
    values["pain_cuts"] = tuple(values["pain_cuts"])
    return CohortParameters(**values)


@lru_cache(maxsize=1)
def calibration_document() -> Mapping[str, Any]:
    """Return the whole calibration file: how it was made, choices, targets against achieved, parameters.

    Returns
    -------
    mapping
        The parsed TOML document; do not change it.
    """
    text = resources.files("muscle_bayes.simulation").joinpath(PARAMETERS_FILE).read_text(encoding="utf-8")
    return tomllib.loads(text)


@lru_cache(maxsize=1)
def load_parameters() -> CohortParameters:
    """Return the calibrated parameters that the package carries.

    Returns
    -------
    CohortParameters
        Parameters of the generator.
    """
    return parameters_from(calibration_document())
