"""A posterior beside maximum likelihood, and beside the coefficients that R printed.

    uv run python examples/compare_with_lme4.py participants.csv lme4.csv

In R: ``write.csv(coef(summary(glmer(...))), "lme4.csv")``, or ``write.csv(fixef(brm(...)), "brms.csv")``. Both files may be left
out; a cohort is simulated then. Draws comparison.png.
"""

import sys

import muscle_bayes as mb


def main(arguments: list[str]) -> None:
    """Fit twice, compare, and say where the methods should differ."""
    participants = arguments[0] if arguments else mb.simulate_cohort(n=5_000, seed=1)
    external = {"R": arguments[1]} if len(arguments) > 1 else None
    cohort = mb.read_cohort(participants)
    fits = {"posterior": mb.fit("cbp_main", cohort), "maximum likelihood": mb.fit("cbp_main", cohort, method="ml")}
    compared = mb.compare(fits, references=["fixed_site"], external=external)

    exposures = compared[compared["role"] == "exposure"]
    if compared.attrs["simulated"]:
        print("SIMULATED DATA")
    print(exposures[["label", "source", "text", "width_ratio"]].round(2).to_string(index=False))
    print(*compared.attrs["notes"], sep="\n")
    mb.plots.comparison(compared).savefig("comparison.png")


if __name__ == "__main__":
    main(sys.argv[1:])
