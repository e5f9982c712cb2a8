"""Write the tables of `docs/scans_at_scale.md` from `benchmarks/results/segmentation.json`.

python benchmarks/segmentation_page.py
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "scans_at_scale.md"
DEVICES = {"cpu": "processor, one core", "cuda": "graphics card"}
MISSING = "not yet measured"
COHORT = 100_000


def result() -> dict[str, Any]:
    """The results; empty before the first run."""
    path = HERE / "results" / "segmentation.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, numbers to the right."""
    lines = [head, ["---", *["---:" for _ in head[1:]]], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float | None, unit: str = "") -> str:
    """Three figures; words where there is no figure."""
    if value is None:
        return MISSING
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}") + unit


def plural(count: int, what: str) -> str:
    """A number of things."""
    return f"{count} {what}" + "s" * (count != 1)


def machines() -> str:
    found, lines = result(), []
    for device, words in DEVICES.items():
        part = found.get(device)
        if part is None:
            lines.append(f"- {words}: {MISSING}; `python benchmarks/segmentation.py --device {device}` measures it.")
            continue
        about = part["machine"]
        lines.append(
            f"- {words}: {part['device']}, {about['cores']} cores, Python {about['python']}, torch {part['torch']}; load of the "
            f"machine when the run began {part['load_average']:.1f}."
        )
    if "scan" in found:
        shape, voxel = (" x ".join(map(str, found["scan"][key])) for key in ("shape", "voxel_mm"))
        lines = [f"Scans of {shape} voxels of {voxel} mm, {found['scan']['made_of']}.", "", *lines]
    return "\n".join(lines)


def stages() -> str:
    found, parts = result(), []
    for device, words in DEVICES.items():
        part = found.get(device)
        if part is None:
            continue
        names = ("decode", "transfer", "network", "uncertainty", "quantify", "picture", "write")
        rows = []
        for way, one in part["ours"].items():
            if "stages" in one:
                times = [number(one["stages"][name]["wall_s"]) for name in names]
                rows.append([way, *times, number(one["scan_s"]), number(one["scan_cpu_s"]), number(one["peak_gb"])])
        plain = part["plain"]
        if "stages" in plain:
            found_stages = {name: stage["wall_s"] for name, stage in plain["stages"].items()}
            network = sum(found_stages[name] for name in ("load network", "network", "resample back"))
            write = found_stages["write"] + found_stages["write table"]
            times = [
                found_stages["read and resample"],
                None,
                network,
                None,
                found_stages["quantify"],
                found_stages["picture"],
                write,
            ]
            row = [*times, plain["scan_s"], plain["scan_cpu_s"], plain["peak_gb"]]
            rows.append(["plain MONAI recipe", *("–" if value is None else number(value) for value in row)])
        head = [
            "seconds",
            "decode",
            "transfer",
            "network",
            "uncertainty",
            "quantify",
            "picture",
            "write",
            "together",
            "CPU s",
            "GB",
        ]
        parts.append(f"{words.capitalize()}:\n\n{table(head, rows)}")
    return "\n\n".join(parts) or MISSING.capitalize() + "."


def asked() -> str:
    rows = []
    for floor in result().get("floors", []):
        holds = {None: "–", True: "yes", False: "**no**"}[floor["holds"]]
        rows.append([floor["floor"], f"≥ {floor['at_least']:g}", number(floor["value"]), holds])
    return table(["what is asked", "at least", "measured", "holds"], rows) if rows else MISSING.capitalize() + "."


def agreement() -> str:
    found, rows = result(), []
    for device, words in DEVICES.items():
        part = found.get(device, {}).get("ours", {}).get("mirrored, bf16", {})
        check = part.get("precision")
        if check and check["dice"]:
            lowest = min(check["dice"], key=lambda name: check["dice"][name])
            rows.append(
                [
                    words,
                    f"{check['dice'][lowest]:.4f} ({lowest})",
                    f"{check['intermat_points']:.3f}",
                    check["used"],
                ]
            )
        else:
            rows.append([words, MISSING, MISSING, "–"])
    return table(["device", "lowest Dice of any structure", "InterMAT apart, points", "used"], rows)


def truth() -> str:
    found = next((result()[device] for device in DEVICES if "dice_with_truth" in result().get(device, {})), None)
    if found is None:
        return MISSING.capitalize() + "."
    ways = found["dice_with_truth"]
    names = list(next(iter(ways.values())))
    return table(
        ["Dice with the phantom's own labels", *ways], [[n, *(f"{ways[w][n]:.3f}" for w in ways)] for n in names]
    )


def storage() -> str:
    part = next((result()[device] for device in DEVICES if "bytes" in result().get(device, {})), None)
    if part is None:
        return MISSING.capitalize() + "."
    rows = [[name, number(size / 1e6), number(size * 1e4 / 1e9)] for name, size in part["bytes"].items()]
    return table(["files", "MB a scan", "GB in 10,000 scans"], rows)


def scaling() -> str:
    found, rows = result(), []
    for device in DEVICES:
        part = found.get("scaling", {}).get(device, MISSING)
        if isinstance(part, str):
            rows.append([DEVICES[device], part, "–"])
            continue
        for way in ("single pass", "mirrored", "mirrored, bf16"):
            for one in part.get(way, []):
                what = plural(one["cores"], "core") + (f", {plural(one['cards'], 'card')}" if one["cards"] else "")
                rows.append([f"{what}, {way}", number(one["scans_per_minute"]), number(one["scans_per_minute"] * 1440)])
    return table(["simulated", "scans a minute", "scans a day"], rows)


def workers() -> str:
    rates = result().get("cpu", {}).get("workers", {})
    if not {"1", "2"} <= set(rates):
        return MISSING.capitalize() + "."
    rows = [
        [
            f"{count} process" + "es" * (count != "1"),
            number(rates[count]["scans_per_minute"]),
            number(rates[count]["peak_gb"]),
        ]
        for count in ("1", "2")
    ]
    return table(["measured side by side, single pass", "scans a minute", "GB"], rows)


def cost() -> str:
    """What a cohort takes: measured seconds of a scan, times scans."""
    found, rows = result(), []
    for device, ways in (("cpu", ("single pass", "mirrored", "mirrored, uncertainty")), ("cuda", ())):
        part = found.get(device)
        for way in ways:
            one = (part or {}).get("ours", {}).get(way, {})
            hours = one["scan_cpu_s"] * COHORT / 3600 if "scan_cpu_s" in one else None
            days = None if hours is None else hours / 24 / 64
            rows.append([f"processor cores, {way}", number(hours, " core hours"), number(days, " days on 64 cores")])
    rates = found.get("cuda", {}).get("pipeline", {})
    for way in ("single pass, bf16", "mirrored, bf16", "mirrored, uncertainty"):
        rate = rates.get(way, {}).get("scans_per_minute")
        hours = None if rate is None else COHORT / rate / 60
        rows.append(
            [f"one card, {way}", number(hours, " hours"), number(None if hours is None else hours / 24, " days")]
        )
    size = next((result()[d]["bytes"] for d in DEVICES if "bytes" in result().get(d, {})), None)
    if size:
        kept = sum(value for name, value in size.items() if name != "images")
        rows.append(["storage of results", number(kept * COHORT / 1e9, " GB"), "without the images"])
        rows.append(["storage of images", number(size["images"] * COHORT / 1e12, " TB"), "water and fat, .nii.gz"])
    return table([f"{COHORT:,} scans", "", ""], rows)


def formats() -> str:
    """What it takes to bring a delivery to two volumes in memory, by format."""
    path = HERE / "results" / "deliveries.json"
    if not path.is_file():
        return "Not yet measured."
    found = json.loads(path.read_text())["formats"]
    rows = [
        [
            name,
            number(one["megabytes"]),
            number(one["cpu_s_load_and_read"]),
            number(60 / one["cpu_s_load_and_read"]),
        ]
        for name, one in found.items()
    ]
    return table(["made-up delivery", "MB a visit", "CPU s to both volumes", "visits a minute and core"], rows)


SECTIONS: dict[str, Callable[[], str]] = {
    "machines": machines,
    "stages": stages,
    "asked": asked,
    "agreement": agreement,
    "formats": formats,
    "truth": truth,
    "storage": storage,
    "workers": workers,
    "scaling": scaling,
    "cost": cost,
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
