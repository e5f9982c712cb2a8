"""Methods compared

The posterior, maximum likelihood as lme4 computes it, and three methods of other software, on one model.
"""

likelihood = mb.fit("cbp_interaction", cohort, method="ml")
compared = mb.compare({"Bayes": fit, "ML": likelihood}, references=["gee", "cluster_robust", "fixed_site"])
figure = mb.plots.comparison(compared)
