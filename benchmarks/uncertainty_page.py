"""Write the tables of `docs/uncertainty.md` from `benchmarks/results/uncertainty.json`.

python benchmarks/uncertainty_page.py
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "uncertainty.md"
MEASURES = {"intermat_percent": ("InterMAT", "points"), "lean_cm3": ("lean volume", "cm³")}
SIGNS = {
    "border": "border of the measure",
    "views": "views of the measure",
    "intermat_percent": "InterMAT",
    "lean_cm3": "lean volume",
}
STRATA = {"snr": "signal to noise", "bmi_kg_m2": "BMI, kg/m²", "intermat_percent": "true InterMAT, %"}


def result() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "results" / "uncertainty.json").read_text())
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, numbers to the right."""
    lines = [head, ["---", *["---:" for _ in head[1:]]], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: dict[str, Any]) -> str:
    return "–" if share["value"] is None else f"{100 * share['value']:.1f}"


def runs(blocks: Sequence[Sequence[int]]) -> str:
    return " and ".join(f"{first:,} to {last:,}" for first, last in blocks)


def lowest(part: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and figures of the stratum that is covered least."""
    return min(part["strata"].items(), key=lambda item: item[1]["value"])


def holds(part: dict[str, Any]) -> str:
    missed = [name for name, held in part["holds"].items() if not held]
    return "all" if not missed else "all but " + ", ".join(missed)


def direction(error: float) -> str:
    return "less" if error < 0 else "more"


def fit() -> str:
    about = result()["calibration"]
    origin = about["fitted_on"]
    rows = [
        [words, *(f"{about[name]['powers'][number]:.2f}" for name in ("intermat", "lean"))]
        for number, words in enumerate(SIGNS.values())
    ]
    intermat, lean = about["mean_error"]
    return "\n\n".join(
        [
            table(["power of", "SD of InterMAT", "SD of lean volume"], rows),
            f"Fitted on {origin['scans']} simulated scans (seeds {runs(origin['seeds'])}). The correlation of the two errors is "
            f"{about['correlation']:.2f}. On average the network's labels gave {abs(intermat):.2f} points {direction(intermat)} "
            f"InterMAT and {abs(100 * lean):.1f} % {direction(lean)} lean volume than the true ones.",
        ]
    )


def judged() -> str:
    found = result()
    rows = []
    for key, (name, unit) in MEASURES.items():
        part = found["both"][key]
        least = lowest(part)[1]
        share, rank = part["coverage"], part["spearman_sd_error"]
        rows.append(
            [
                name,
                f"{percent(share)} ({100 * share['mcse']:.1f})",
                f"{percent(least)} ({100 * least['mcse']:.1f})",
                f"{rank['value']:.2f} ({rank['mcse']:.2f})",
                f"{part['error_mean']:.2f} ± {part['error_sd']:.2f} {unit}",
                f"{part['sd_median']:.2f} {unit}",
                holds(part),
            ]
        )
    head = [
        "both sides",
        "covered, %",
        "lowest stratum, %",
        "rank correlation",
        "error, mean ± SD",
        "median SD",
        "holds",
    ]
    about = (
        f"{found['both']['scans']} simulated scans, seeds {runs(found['seeds']['judge'])}; Monte Carlo errors in brackets. An "
        f"ellipse of 95 % for both measures together covers {percent(found['both']['joint_coverage'])} %."
    )
    return f"{table(head, rows)}\n\n{about}" + ("" if found["complete"] else " The run is not complete.")


def strata() -> str:
    both = result()["both"]
    rows = []
    for key in both["lean_cm3"]["strata"]:
        stratum, limits = key.split(" ", 1)
        cells = [both[name]["strata"][key] for name in MEASURES]
        low, high = limits.split(" to ")
        rows.append([f"{STRATA[stratum]}, {low} to {float(high):.0f}", str(cells[0]["scans"]), *map(percent, cells)])
    return table(["stratum", "scans", "InterMAT covered, %", "lean volume covered, %"], rows)


def rows_beside() -> str:
    found = result()
    lines = []
    for region, part in (("above_gluteals_150mm", found), ("field_of_view", found["field_of_view"])):
        for side in ("both", "left", "right"):
            cells = [part[side][name] for name in MEASURES]
            lines.append(
                [
                    f"{region}, {side}",
                    *(text for one in cells for text in (percent(one["coverage"]), percent(lowest(one)[1]))),
                    *(f"{one['spearman_sd_error']['value']:.2f}" for one in cells),
                ]
            )
    head = ["row", "InterMAT covered, %", "its lowest stratum", "lean covered, %", "its lowest stratum"]
    return table([*head, "rank correlation, InterMAT", "lean"], lines)


def earlier() -> str:
    lines = []
    for one in result()["earlier"]:
        seeds = one["seeds"]["judge"]
        for key, (name, _) in MEASURES.items():
            part = one["both"][key]
            lines.append(
                [
                    f"{name}, {one['scans']} scans from seed {seeds if isinstance(seeds, int) else seeds[0][0]:,}",
                    percent(part["coverage"]),
                    percent(lowest(part)[1]),
                    f"{part['spearman_sd_error']['value']:.2f}",
                    holds(part),
                ]
            )
    return table(["earlier calibration", "covered, %", "lowest stratum, %", "rank correlation", "holds"], lines)


def cost() -> str:
    found = result()["cpu_s_median"]
    return (
        f"On scans of 1.4 x 1.4 x 9 mm a label map took {found['segmentation']:.1f} CPU s and its views {found['views']:.1f} "
        "(medians, one core)."
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "fit": fit,
    "judged": judged,
    "strata": strata,
    "rows": rows_beside,
    "earlier": earlier,
    "cost": cost,
}


def rendered(page: str) -> str:
    """The page with every figure as the results say it now."""
    for name, make in SECTIONS.items():
        begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{make()}\n{end}{rest.split(end)[1]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text()))
