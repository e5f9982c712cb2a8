"""Each site left out

What a model fitted without a site says of it, as of a new site: calibration curve, prevalence, calibration intercept and slope,
c-statistic.
"""

outside = mb.leave_one_site_out(fit)
figure = mb.plots.leave_one_site_out(outside)
