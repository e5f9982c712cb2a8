"""What the paper does not say and had to be chosen for the simulated cohort, in one place: in words and in numbers.

`CHOICES` goes into `cohort_parameters.toml` as it stands; `starting_document` holds the same choices as parameters, with
starting values for those that `calibrate_cohort.py` solves.
"""

from typing import Any

import numpy as np
from cohort_targets import ACTIVITY_SHARES, FEMALES, MALES

Document = dict[str, Any]

CHOICES = {
    "age": "Independent of sex and site; the quantile function is linear between the seven knots.",
    "sites": "Participants per site are not published: unequal shares near a fifth. The five site effects are part of "
    "the truth, the same for every seed, with root mean square 0.093 on the logit scale (lme4 found 0.092 in a "
    "trial): five new ones for each seed would move the whole sample's prevalence by more than half a point. "
    "Sites do not differ in the exposures.",
    "bmi_and_height": "NAKO-like means by sex; BMI is log-normal, rises with age, and has no effect on the outcomes "
    "but through diagnoses, activity and the exposures.",
    "activity": "The category follows the MET-minutes; men, younger and leaner persons are a little more active.",
    "diagnoses": "Prevalences of diabetes and dyslipidemia by sex, and of osteoarthritis and osteoporosis, from other "
    "publications on NAKO (self-reports); their dependence on age, sex and BMI is chosen. Independent given these.",
    "exposures": "Log InterMAT and LMM are linear in the covariates with normal residuals correlated at -0.30 (a "
    "choice); residual SD of LMM in women 0.85 of that in men. Units are located by the subgroup medians.",
    "adipose_definitions": "fraction = 6.8 + 0.80 x threshold, times log-normal noise of 0.10 (a T1-weighted two-point "
    "Dixon reads 6 to 7 % where no voxel is above one half); mixture = 0.7 + 1.10 x threshold, noise 0.15. LMM of "
    "each definition is of the same compartment.",
    "cbp_adjustment": "Odds ratios of the diagnoses given all else are not in the abstract: diabetes 1.10, dyslipidemia "
    "1.20, osteoporosis 1.50, osteoarthritis 2.20.",
    "pain": "The denominator of pain intensity >= 4 is not stated; it is the whole sample here, with 18.5 % (the "
    "published interval widths suit 16.5 % by LMM and 21.8 % by InterMAT): 21.5 % of women, 16.0 % of men. The "
    "InterMAT odds ratio equals the CBP one digit for digit in the abstract and is taken as printed. Intensity "
    "0-10 is a cumulative logit with the same coefficients at every threshold; its residual correlates with "
    "that of CBP at 0.60 (Gaussian copula).",
    "interaction": "The setting `interaction` enters the CBP predictor only, at population Z-scores, and the "
    "intercept moves so that the whole-sample prevalence stays at 21.8 % (by sex it moves by about half a "
    "point at 0.2). Pain is left as it is.",
    "exclusions": "The abstract gives 30,868 imaged and 27,518 analysed and no reasons: the steps and counts between are "
    "invented. Who is excluded is independent of everything else (missing completely at random).",
}

LOG_OR_PER_Z = {name: float(np.log(value) / 2.0) for name, value in {"high": 1.22, "cbp": 0.87, "pain": 0.63}.items()}
AGE_PROBABILITIES = [0.0, 0.10, 0.25, 0.50, 0.75, 0.90, 1.0]
# Shares of the population below each knot of MET-minutes per week.
ACTIVITY_KNOTS = {
    0.14: 0.0,
    float(ACTIVITY_SHARES[0]): 500.0,
    0.62: 1700.0,
    float(1 - ACTIVITY_SHARES[2]): 5000.0,
    0.97: 10000.0,
    0.9995: 20000.0,
}
# Cumulative shares below NRS 1, 2, ..., 10; the fourth, below NRS 4, follows from PAIN_PREVALENCE.
PAIN_CUMULATIVE = [0.36, 0.54, 0.69, None, 0.872, 0.920, 0.953, 0.977, 0.992, 0.997]
INTERACTIONS = [-0.5, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def starting_document() -> Document:
    """Return the choices as parameters; what is solved starts here."""
    z = {"mean": 0.0, "sd": 1.0}
    return {
        "age": {"probabilities": AGE_PROBABILITIES, "years": [19.0, 30.0, 41.0, 49.0, 57.0, 64.0, 74.0]},
        "male_share": MALES / (FEMALES + MALES),
        "sites": {
            "names": ["Augsburg", "Berlin", "Essen", "Mannheim", "Neubrandenburg"],
            "shares": [0.21, 0.18, 0.19, 0.20, 0.22],
            "cbp": [-0.13, 0.06, -0.05, -0.02, 0.14],
            "pain": [-0.11, 0.05, -0.03, -0.05, 0.14],
        },
        "height_cm": {"constant": 165.5, "male": 13.0, "age_decades": -1.2, "sd": 6.6},
        "bmi_kg_m2": {"constant": 3.235, "male": 0.045, "age_decades": 0.022, "sd": 0.16},
        "activity": {"male": 0.10, "age_decades": -0.05, "bmi_z": -0.10},
        "diagnoses": {
            "diabetes": {"age_decades": 0.75, "bmi_z": 0.60},
            "dyslipidemia": {"age_decades": 0.55, "bmi_z": 0.30},
            "osteoporosis": {"age_decades": 0.90, "male": -2.20, "bmi_z": -0.20},
            "osteoarthritis": {"age_decades": 0.70, "male": -0.35, "bmi_z": 0.25},
        },
        "log_intermat": {
            "constant": 1.90, "male": -0.12, "age_decades": 0.10, "bmi_z": 0.10, "low": 0.05, "high": -0.05,
            "diabetes": 0.10, "dyslipidemia": 0.02, "osteoporosis": 0.03, "osteoarthritis": 0.01, "sd": 0.27,
        },
        "lmm": {
            "constant": 21.0, "male": 8.0, "age_decades": -0.60, "bmi_z": -1.0, "low": -0.40, "high": 0.50,
            "diabetes": -0.50, "dyslipidemia": -0.10, "osteoporosis": -0.20, "osteoarthritis": -0.10,
            "sd": 3.9, "correlation": -0.30, "female_sd_ratio": 0.85,
        },
        "standardisation": {"age_z": dict(z), "intermat_z": dict(z), "lmm_z": dict(z)},
        "cbp": {
            "constant": -1.5, "intermat_z": LOG_OR_PER_Z["high"], "lmm_z": LOG_OR_PER_Z["cbp"], "age_z": 0.30,
            "male": -0.1, "diabetes": float(np.log(1.10)), "dyslipidemia": float(np.log(1.20)),
            "osteoporosis": float(np.log(1.50)), "osteoarthritis": float(np.log(2.20)), "low": 0.3, "high": 0.2,
        },
        "pain": {
            "constant": -1.8, "intermat_z": LOG_OR_PER_Z["high"], "lmm_z": LOG_OR_PER_Z["pain"], "age_z": 0.10,
            "male": 0.0, "diabetes": float(np.log(1.15)), "dyslipidemia": float(np.log(1.15)),
            "osteoporosis": float(np.log(1.40)), "osteoarthritis": float(np.log(2.00)), "low": 0.25, "high": 0.10,
        },
        "pain_cuts": [],
        "pain_correlation": 0.60,
        "adipose": {
            "fraction": {"constant": 6.8, "slope": 0.80, "log_sd": 0.10},
            "mixture": {"constant": 0.7, "slope": 1.10, "log_sd": 0.15},
        },
        "recentre": {"interaction": INTERACTIONS, "shift": [0.0] * len(INTERACTIONS)},
        "exclusions": {
            "imaged": 30868, "image_quality": 742, "fat_water_swap": 556, "field_of_view": 318, "outcome": 497,
            "activity": 713, "diagnoses": 402, "anthropometry": 122,
        },
    }  # fmt: skip
