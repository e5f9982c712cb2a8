"""Proportional odds?

An ordered outcome, pain from 0 to 10: the common odds ratio, and those of each cut of the scale beside it.
"""

people = mb.simulate_cohort(n=5_000, seed=1)
ordinal = mb.fit("pain_ordinal", people, method="ml")
cuts = mb.proportionality(ordinal)
figure = mb.plots.proportionality(cuts)
