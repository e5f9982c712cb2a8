"""From draws to what people read: odds ratios, surfaces, nomograms; pure functions, tidy frames out."""

# Not lazily: a submodule that is imported later would take its function's name in this package.
from muscle_bayes.estimands.calibration import calibration
from muscle_bayes.estimands.comparison import compare
from muscle_bayes.estimands.curve import odds_ratio_curve
from muscle_bayes.estimands.discrimination import discrimination
from muscle_bayes.estimands.distributions import exposure_distributions
from muscle_bayes.estimands.interaction import interaction
from muscle_bayes.estimands.leave_one_site_out import leave_one_site_out
from muscle_bayes.estimands.loo import loo
from muscle_bayes.estimands.matching import select_matched
from muscle_bayes.estimands.nomogram import Nomogram, nomogram
from muscle_bayes.estimands.odds_ratios import odds_ratios
from muscle_bayes.estimands.optimism import optimism
from muscle_bayes.estimands.posterior_predictive import posterior_predictive
from muscle_bayes.estimands.power_scaling import power_scaling
from muscle_bayes.estimands.prior_predictive import prior_predictive
from muscle_bayes.estimands.proportionality import proportionality
from muscle_bayes.estimands.residuals import residuals
from muscle_bayes.estimands.risks import risks
from muscle_bayes.estimands.rounding import printed
from muscle_bayes.estimands.sensitivity import sensitivity
from muscle_bayes.estimands.subgroups import subgroups
from muscle_bayes.estimands.surface import odds_ratio_surface
from muscle_bayes.estimands.symptom_burden import symptom_burden

__all__ = [
    "Nomogram", "calibration", "compare", "discrimination", "exposure_distributions", "interaction",
    "leave_one_site_out", "loo", "nomogram", "odds_ratio_curve", "odds_ratio_surface", "odds_ratios", "optimism",
    "posterior_predictive", "power_scaling", "printed", "prior_predictive", "proportionality", "residuals", "risks",
    "select_matched", "sensitivity", "subgroups", "symptom_burden",
]  # fmt: skip
