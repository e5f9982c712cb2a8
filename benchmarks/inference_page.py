"""Write the tables of `docs/inference.md` from the files in `benchmarks/results/`.

python benchmarks/inference_page.py
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "inference.md"
ENGINES = {
    "fit_laplace": "**laplace**, from the table to odds ratios",
    "laplace": "**laplace**, on arrays",
    "nuts": "**nuts**",
    "ml": "**ml**",
    "refits": "**laplace**, 100 refits of 1,000 draws",
    "nutpie_alone": "Bambi's model, nutpie alone",
    "bambi_nutpie": "Bambi + nutpie",
    "bambi_numpyro": "Bambi + NumPyro",
    "bambi": "Bambi, its default sampler",
    "brms": "brms",
    "glmer": "lme4 glmer (maximum only)",
    "glmmTMB": "glmmTMB (maximum only)",
}


def result(name: str) -> dict[str, Any]:
    """One file of results."""
    return json.loads((HERE / "results" / name).read_text())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, numbers to the right."""
    lines = [head, ["---", *["---:" for _ in head[1:]]], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def short(value: float | None) -> str:
    """Three figures, thousands with commas; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def certificates() -> str:
    found = result("certificates.json")
    rows, notes = [], []
    for name, model in found["models"].items():
        verdict = "yes" if model["certified"] else "no"
        seeds = f"{model['seeds_certified']} of {found['seeds']}"
        measures = [short(model[key]) if key in model else "–" for key in ("ess", "khat", "cpu_s")]
        rows.append([f"`{name}`", verdict, seeds, *measures])
        if not model["certified"]:
            to = model.get("handed_to")
            by = (
                f" `auto` took `{to['engine']}`, which passed its gate: {'yes' if to['passed'] else 'no'}."
                if to
                else ""
            )
            notes.append(f"- `{name}`: {'; '.join(model['reasons'])}.{by}")
    head = ["model", "certified", "with how many seeds", "effective of 4,000 draws", "k-hat", "CPU s"]
    why = ["", "Why the others are handed over:", "", *notes] if notes else []
    return "\n".join([f"Simulated cohort, seed 1, n = {found['rows']:,}.", "", table(head, rows), *why])


def agreement() -> str:
    rows = []
    for name, found in result("agreement.json").items():
        if not isinstance(found, dict):
            continue
        quantiles = max(abs(q) for q in found["site_sd_quantile_differences"])
        distribution = max(abs(d) for d in found["site_sd_distribution_differences"])
        values = [
            f"{found['largest_mean_difference_in_sd']:.3f}",
            f"{found['largest_sd_difference']:.1%}",
            f"{quantiles:.1%} ({distribution:.4f})",
            short(found["nuts_smallest_ess"]),
            "yes" if found["agrees"] else "no",
        ]
        rows.append([f"`{name.split(',')[0]}`", *values])
    head = [
        "model", "largest difference of means, in SD", "of SDs", "of quantiles of the site SD (of its distribution)",
        "smallest ESS of NUTS", "agrees",
    ]  # fmt: skip
    return table(head, rows)


def calibration() -> str:
    rows = []
    for n in (2000, 27518):
        verdict = result(f"calibration_cbp_main_{n}.json")["verdict"]
        outside = ", ".join(verdict["outside"]) or "none"
        values = [verdict["datasets"], verdict["parameters"], verdict["by_nuts"]]
        rows.append([f"`cbp_main`, n = {n:,}", *(f"{value:,}" for value in values), outside])
    return table(["design", "data sets", "parameters", "by NUTS", "parameters outside their band"], rows)


def coverage() -> str:
    found = result("coverage.json")
    rows = [
        [name, f"{v['coverage']:.1%}", f"{v['mcse']:.1%}", f"{v['truth_below']:.1%}", f"{v['truth_above']:.1%}"]
        for name, v in found["verdict"].items()
        if isinstance(v, dict)
    ]
    engines = ", ".join(
        f"{count:,} by {engine.replace(' 1000', ' with 1,000').replace(' 4000', ' with 4,000')} draws"
        for engine, count in found["engines"].items()
    )
    head = ["quantity", "coverage", "its Monte Carlo error", "truth below", "truth above"]
    what = f"{found['cohorts']:,} simulated cohorts of n = {found['rows']:,}, `{found['model']}`; {engines}."
    return "\n".join([what, "", table(head, rows)])


def engines() -> str:
    found = result("inference.json")
    parts = []
    sizes, cores = found["cbp_interaction"], found["machine"]["cores"]
    for rows in sorted(sizes, key=int):
        lines = []
        for engine, name in ENGINES.items():
            one = sizes[rows].get(engine)
            if one is None:
                continue
            if one.get("cores", cores) < cores:
                name += f" (on {one['cores']} core)"
            if "first_s" not in one:
                lines.append([name, one.get("skipped", "failed"), *["–"] * 5])
                continue
            ess = one.get("ess")
            rate = None if ess is None else ess / one.get("warm_s", one["first_s"])
            both = [
                f"{short(one[f'{k}_s'])} ({short(one.get(f'{k}_cpu_s'))})" if f"{k}_s" in one else "–" for k in _TIMES
            ]
            divergences = str(one["divergences"]) if "divergences" in one else "–"
            lines.append([name, *both, short(rate), divergences, short(one.get("peak_gb"))])
        head = ["engine", "warm, s (CPU)", "first, s (CPU)", "fresh process, s (CPU)", "ESS / s", "divergences", "GB"]
        parts.append(f"n = {int(rows):,}, `cbp_interaction`:\n\n{table(head, lines)}")
    loads = [one["load_average"] for size in sizes.values() for one in size.values() if "load_average" in one]
    ends = [load for pair in loads for load in (pair if isinstance(pair, list) else [pair])]
    m = found["machine"]
    where = (
        f"{m['cores']} cores ({m['cpu']}), Python {m['python']}; other work of lower priority ran beside it (load average "
        f"{min(ends):.1f} to {max(ends):.1f}), which stretches wall seconds more than CPU seconds. "
        "Samplers: 4 chains of 1,000 draws after 1,000. "
        "ESS / s is the smallest effective size of any parameter over wall seconds, warm where there is a warm run."
    )
    limits = [
        [f["floor"], short(f["value"]), f"{'≥' if 'at_least' in f else '≤'} {f.get('at_least', f.get('at_most')):g}",
         "yes" if f["holds"] else "**no**"]
        for f in found["floors"]
    ]  # fmt: skip
    asked = table(["what is asked", "measured", "limit", "holds"], limits)
    return "\n\n".join([where, *parts, "What must hold, from the same run:", asked])


_TIMES = ("warm", "first", "fresh")
SECTIONS: dict[str, Callable[[], str]] = {
    "certificates": certificates,
    "agreement": agreement,
    "calibration": calibration,
    "coverage": coverage,
    "engines": engines,
}


def rendered(page: str) -> str:
    """The page with every table as the results say it now."""
    for name, make in SECTIONS.items():
        begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{make()}\n{end}{rest.split(end)[1]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text()))
