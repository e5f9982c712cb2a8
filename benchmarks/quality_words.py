"""The judgement of `quality.py` in words and a table, which the page on quality includes."""

from typing import Any


def in_words(out: dict[str, Any]) -> str:
    """Return Markdown that says what a judgement found.

    Parameters
    ----------
    out : dict
        As in `results/quality.json`.

    Returns
    -------
    str
        Sentences and a table; every figure is from `out`.
    """
    seeds, clean, repair = out["seeds"], out["joint_specificity"], out["swap_repair"]
    lines = [
        "<!-- Written by `python benchmarks/quality.py --summary`. -->",
        "",
        f"**Clean scans** (simulated, seeds {_span(seeds['clean'])}): {_share(clean)} had no finding that asks for review; the "
        f"others had {_counted(out['false_alarms'])}. Without labels it is {_share(out['joint_specificity_without_labels'])}.",
        "",
        f"**Planted faults** (seeds {_span(seeds['faults'][:2])}, and {_span(seeds['faults'][2:])} for faults of trunks), with "
        "Wilson's 95 % intervals:",
        "",
        "| fault | what is done to a clean scan | named | interval | without labels |",
        "|---|---|---|---|---|",
    ]
    for name, entry in out["sensitivity"].items():
        blind = entry.get("named_without_labels")
        lines.append(
            f"| `{name}` | {_severity(entry['severity'])} | {entry['hits']} of {entry['of']} | "
            f"{100 * entry['lower']:.0f} to {100 * entry['upper']:.0f} % | {'' if blind is None else blind} |"
        )
    harmed = repair["clean_harmed_with_labels"]
    part = repair["swap_partial"]
    lines += [
        "",
        f"**Swap repair** changed {harmed['hits']:,} of {harmed['of']:,} clean scans (upper limit {100 * harmed['upper']:.2f} %; "
        f"without labels {repair['clean_harmed_without_labels']['hits']:,}; seeds {_span(seeds['repair'])}, "
        "tried with the first judgement; nothing that it rests on has changed since). Of the body's voxels it left "
        f"{_percent(repair['swap_whole'])} exchanged after whole swaps, {_percent(repair['swap_station'])} after those of "
        f"stations, and {_percent(part)} after those of parts (medians; worst {100 * part['body_voxels_wrong_worst']:.0f} %).",
        "",
    ]
    for before in out["judged_before"]:
        missed = [
            f"`{name}` {hits} of {before['of'][name]}"
            for name, hits in before["sensitivity"].items()
            if hits < before["of"][name]
        ]
        quiet = before["joint_specificity"]
        lines += [
            f"**Judged before**, on seeds {_span(before['seeds']['clean'])} and {_span(before['seeds']['faults'][:2])} "
            f"(`benchmarks/results/{before['results']}`): {quiet['hits']} of {quiet['of']} clean scans had no finding; every fault "
            f"was named in all scans but {' and '.join(missed)}. The checks were mended after it, and judged on new seeds since.",
            "",
        ]
    lines += [f"All of it took {out['cpu_s']:,} s of processor time, a check {out['assess_cpu_s_median']:.2f} s.", ""]
    return "\n".join(lines)


def _span(seeds: list[int]) -> str:
    return f"{seeds[0]:,} to {seeds[1]:,}"


def _share(found: dict[str, Any]) -> str:
    return (
        f"{found['hits']} of {found['of']} ({100 * found['share']:.1f} %, "
        f"{100 * found['lower']:.1f} to {100 * found['upper']:.1f})"
    )


def _percent(found: dict[str, Any]) -> str:
    return f"{100 * found['body_voxels_wrong_median']:.1f} %"


def _counted(alarms: dict[str, int]) -> str:
    return ", ".join(f"{count} `{kind}`" for kind, count in alarms.items()) or "none"


def _severity(text: str) -> str:
    return text.removesuffix(".").replace("|", "/")
