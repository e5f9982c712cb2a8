"""One figure a module; each takes an estimand's result and returns a matplotlib Figure (or the Axes that it was given).

pyplot is not needed and not imported: no figure stays open, and a notebook shows what is returned.
"""

# Not lazily: a submodule that is imported later would take its function's name in this package.
from muscle_bayes.plots.calibration import calibration
from muscle_bayes.plots.comparison import comparison
from muscle_bayes.plots.curve import curve
from muscle_bayes.plots.distributions import distributions
from muscle_bayes.plots.forest import forest
from muscle_bayes.plots.images_panel import images_panel
from muscle_bayes.plots.interaction import interaction
from muscle_bayes.plots.leave_one_site_out import leave_one_site_out
from muscle_bayes.plots.nomogram import nomogram
from muscle_bayes.plots.nomogram_html import nomogram_html
from muscle_bayes.plots.posterior_predictive import posterior_predictive
from muscle_bayes.plots.prior_predictive import prior_predictive
from muscle_bayes.plots.proportionality import proportionality
from muscle_bayes.plots.residuals import residuals
from muscle_bayes.plots.risks import risks
from muscle_bayes.plots.specification_curve import specification_curve
from muscle_bayes.plots.subgroups import subgroups
from muscle_bayes.plots.surface import surface
from muscle_bayes.plots.symptom_burden import symptom_burden

__all__ = [
    "calibration", "comparison", "curve", "distributions", "forest", "images_panel", "interaction",
    "leave_one_site_out", "nomogram", "nomogram_html", "posterior_predictive", "prior_predictive", "proportionality",
    "residuals", "risks", "specification_curve", "subgroups", "surface", "symptom_burden",
]  # fmt: skip
