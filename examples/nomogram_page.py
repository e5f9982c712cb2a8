"""An interactive nomogram as one HTML page that opens without a network.

    uv run python examples/nomogram_page.py participants.csv nomogram.html

Without arguments, a cohort is simulated and the page says so.
"""

import sys

import muscle_bayes as mb

PERSON = {
    "intermat_percent": 9.0, "lmm_cm3_per_kg_m2": 22.0, "age_years": 60, "sex": "female", "activity": "low", "diabetes": 0,
    "dyslipidemia": 1, "osteoporosis": 0, "osteoarthritis": 1,
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Fit, write the page, and show one person's probability as the page will."""
    participants = arguments[0] if arguments else mb.simulate_cohort(n=5_000, seed=1)
    fit = mb.fit("cbp_interaction", mb.read_cohort(participants))
    nomogram = mb.nomogram(fit)
    page = arguments[1] if len(arguments) > 1 else "nomogram.html"
    mb.plots.nomogram_html(nomogram, page)

    row = nomogram.predict(PERSON).iloc[0]
    print(f"One person: {row['text']}. For illustration of associations, not for clinical decisions.")
    print(f"The page: {page}{' (SIMULATED DATA)' if fit.simulated else ''}")


if __name__ == "__main__":
    main(sys.argv[1:])
