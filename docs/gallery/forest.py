"""Odds ratios

The odds ratio of each exposure per 2 Z with its 95 % interval, apart from the terms that only adjust it.
"""

table = mb.odds_ratios(fit, per=2)
figure = mb.plots.forest(table)
