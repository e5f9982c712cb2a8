"""Standardised risks

Everyone's probability with one Z more and one Z less of an exposure, averaged over the cohort, and the difference as cases per
1,000 people.
"""

risks = mb.risks(fit)
figure = mb.plots.risks(risks)
