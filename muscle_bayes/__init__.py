"""muscle_bayes: from images of muscle to an honest posterior of what muscle has to do with chronic back pain.

The public names load when they are first used, so that `import muscle_bayes` imports neither torch nor PyMC.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Public name -> the stage that it comes from.
_PUBLIC = {
    "simulate_cohort": "simulation",
    "simulate_phantom": "simulation",
    "quantify": "imaging",
    "segment": "imaging",
    "validate": "imaging",
    "read_cohort": "cohort",
    "Cohort": "cohort",
    "Exposure": "cohort",
    "Model": "specification",
    "load_model": "specification",
    "list_models": "specification",
    "fit": "inference",
    "Fit": "inference",
    "load_fit": "inference",
    "odds_ratios": "estimands",
    "odds_ratio_surface": "estimands",
    "odds_ratio_curve": "estimands",
    "risks": "estimands",
    "interaction": "estimands",
    "nomogram": "estimands",
    "posterior_predictive": "estimands",
    "prior_predictive": "estimands",
    "calibration": "estimands",
    "discrimination": "estimands",
    "loo": "estimands",
    "leave_one_site_out": "estimands",
    "optimism": "estimands",
    "residuals": "estimands",
    "select_matched": "estimands",
    "subgroups": "estimands",
    "exposure_distributions": "estimands",
    "symptom_burden": "estimands",
    "proportionality": "estimands",
    "sensitivity": "estimands",
    "power_scaling": "estimands",
    "compare": "estimands",
    "train": "study",
    "run": "study",
}
_STAGES = ("plots", "errors")

__all__ = ["__version__", *_PUBLIC, *_STAGES]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    elif name in _STAGES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
