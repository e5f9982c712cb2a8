"""Odds-ratio curve

The odds ratio of every value of a predictor against a reference, from a model with a spline: physical activity, whose relation to
back pain is U-shaped.
"""

smooth = mb.fit("cbp_activity_smooth", cohort)
curve = mb.odds_ratio_curve(smooth, "activity_met_min_week")
figure = mb.plots.curve(curve, width_mm=180)
