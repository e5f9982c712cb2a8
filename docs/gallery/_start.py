"""What every script of the gallery starts from: a simulated cohort of the published size, and a fit of the interaction model."""

import muscle_bayes as mb

cohort = mb.simulate_cohort(seed=1)
fit = mb.fit("cbp_interaction", cohort)
