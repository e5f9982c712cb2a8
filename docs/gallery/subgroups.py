"""Subgroups

Odds ratios within subgroups: a fit of each by itself, and partially pooled.
"""

groups = mb.subgroups("cbp_main", by=["sex", "osteoarthritis"], cohort=cohort)
figure = mb.plots.subgroups(groups)
