"""What the commands print on stdout: short tables for people, JSON for scripts."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import typer

if TYPE_CHECKING:
    from muscle_bayes.specification import Model
    from muscle_bayes.study import StudyRun
    from muscle_bayes.study.scanning import ScanRun
    from muscle_bayes.study.withdrawing import Withdrawal

_SHORT = {
    "muscle": "muscle",
    "side": "side",
    "region": "extent",
    "compartment_cm3": "volume cm3",
    "intermat_threshold_percent": "InterMAT threshold %",
    "intermat_fraction_percent": "fraction %",
    "intermat_mixture_percent": "mixture %",
    "lean_{adipose}_cm3": "lean cm3",
    "lmm_{adipose}_cm3_per_kg_m2": "LMM cm3/(kg/m2)",
    "undefined_percent": "undefined %",
    "qc": "qc",
}


def print_json(content: Any) -> None:
    """Print JSON; numbers that do not exist are null.

    Parameters
    ----------
    content : JSON value
        May hold NaN, paths and NumPy scalars.
    """
    typer.echo(json.dumps(_plain(content), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_files(
    files: Mapping[str, Path], *, as_json: bool, said: str = "", facts: Mapping[str, Any] | None = None
) -> None:
    """Print which files were written.

    Parameters
    ----------
    files : mapping of str to pathlib.Path
        Name -> file.
    as_json : bool
        As JSON.
    said : str
        One line more, for people.
    facts : mapping of str to value, optional
        What a script should know of them.
    """
    if as_json:
        print_json({**files, **(facts or {})})
        return
    for path in files.values():
        typer.echo(str(path))
    if said:
        typer.echo(said)


def print_measurements(table: pd.DataFrame, *, as_json: bool) -> None:
    """Print measurement rows, and what they say about themselves.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `quantify`.
    as_json : bool
        All columns as JSON.
    """
    notes = [str(note) for note in table.attrs.get("notes", [])]
    adipose = str(table.attrs.get("adipose", "threshold"))
    if as_json:
        print_json({"exposure": adipose, "notes": notes, "measurements": table.to_dict(orient="records")})
        return
    columns = {name.format(adipose=adipose): heading for name, heading in _SHORT.items()}
    shown = table[[name for name in columns if name in table]].rename(columns=columns)
    backend, compartment = table["backend"].iloc[0], table["compartment"].iloc[0]
    voxel = table["voxel_mm3"].iloc[0]
    typer.echo(f"backend {backend}, compartment {compartment}, exposure {adipose}, voxel {voxel:.3g} mm3")
    typer.echo(shown.to_string(index=False, na_rep="missing", float_format=_figure))
    if "truncated" in table and (table["truncated"] == 1).any():
        extents = ", ".join(table.loc[table["truncated"] == 1, "region"].unique())
        typer.echo(
            f"note: missing over {extents}: the image does not show the whole of it; other extents stand by themselves"
        )
    for note in notes:
        typer.echo(f"note: {note}")


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def print_run(made: "StudyRun", *, as_json: bool) -> None:
    """Print what a run came to: odds ratios of the exposures, where the report is, who failed.

    Parameters
    ----------
    made : StudyRun
        Of `run` or `demonstrate`.
    as_json : bool
        As JSON.
    """
    tables = {}
    for section in made.study.fits:
        path = made.out / "tables" / f"{section.label}_odds_ratios.csv"
        if path.is_file():
            tables[section.label] = pd.read_csv(path)
    if as_json:
        print_json(
            {
                "out": made.out,
                "report": made.report,
                "exit_code": made.exit_code,
                "made": made.made,
                "kept": made.kept,
                "failed_gate": made.ungated,
                "failures": made.failures.to_dict(orient="records"),
                "notes": list(made.notes),
                "odds_ratios": {label: table.to_dict(orient="records") for label, table in tables.items()},
            }
        )
        return
    for label, table in tables.items():
        simulated = ", simulated data" if "simulated" in table and (table["simulated"] == 1).any() else ""
        typer.echo(f"{label}{simulated}: odds ratios of the exposures, 95 % interval")
        for row in table[table["role"] == "exposure"].to_dict(orient="records"):
            typer.echo(f"  {row.get('label', row['term'])}, {row['contrast']}: {_interval(dict(row))}")
    for label, reason in made.ungated.items():
        typer.echo(f"{label} FAILED its gate, so it has no estimates: {reason}")
    if len(made.failures):
        typer.echo(f"{len(made.failures):,} scans could not be measured: {made.out / 'failures.tsv'}")
    for note in made.notes:
        typer.echo(f"note: {note}")
    if not made.made:
        typer.echo("Nothing had changed; everything was up to date")
    typer.echo(f"Report: {made.report}")


def print_scans(made: "ScanRun", *, as_json: bool) -> None:
    """Print what the scan half came to: how many were measured, who failed and why, where the tables are.

    Parameters
    ----------
    made : ScanRun
        Of `measure`.
    as_json : bool
        As JSON.
    """
    measured = made.measured
    scans = measured.table[["participant_id", "session_id"]].drop_duplicates().shape[0] if len(measured.table) else 0
    if as_json:
        print_json(
            {
                "out": made.out,
                "exit_code": made.exit_code,
                "scans": made.people,
                "measured": scans,
                "taken_over": measured.reused,
                "left": measured.left,
                "failures": measured.failures.to_dict(orient="records"),
                "notes": measured.notes,
                "files": made.files,
            }
        )
        return
    before = f", {measured.reused:,} of them before" if measured.reused else ""
    typer.echo(f"{scans:,} of {made.people:,} scans measured{before}")
    for error, count in measured.failures["error"].value_counts().items():
        typer.echo(f"  {count:,} failed: {error}")
    if measured.left:
        typer.echo(f"  {measured.left:,} left for another run")
    for note in measured.notes:
        typer.echo(f"note: {note}")
    for path in made.files.values():
        typer.echo(str(path))


def print_withdrawal(done: "Withdrawal", *, as_json: bool) -> None:
    """Print what was removed of a participant, what is stale and what stays.

    Parameters
    ----------
    done : Withdrawal
        Of `withdraw`.
    as_json : bool
        As JSON.
    """
    if as_json:
        print_json(vars(done))
        return
    for name, what in done.removed.items():
        typer.echo(f"{'would remove' if done.dry_run else 'removed'} {name}: {what}")
    if done.stale:
        typer.echo(
            f"{'would be stale' if done.dry_run else 'stale'}: {', '.join(done.stale)}; `muscle-bayes run` makes them again"
        )
    for remark in done.remarks:
        typer.echo(remark)


def _interval(row: Mapping[Any, Any]) -> str:
    text = row.get("text")
    if isinstance(text, str) and text:
        return text
    return f"{row['estimate']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})"


def model_text(model: "Model") -> str:
    """Return a model for people: question, formula, exposures, priors with their reasons.

    Parameters
    ----------
    model : Model
        Of the catalogue, or of a file.

    Returns
    -------
    str
        Several lines.
    """
    lines = [
        model.name,
        model.title,
        "",
        model.question,
        "",
        f"formula   {model.parsed}",
        f"event     {model.event or model.outcome_label}"
        if model.family == "bernoulli"
        else f"outcome   {model.outcome_label}, ordered: {', '.join(model.categories) or 'the whole numbers that occur'}",
        *([f"among     {model.among}"] if model.among else []),
    ]
    for name, exposure in model.exposures.items():
        what = f"contrast {exposure.contrast:g}, adverse {exposure.adverse}" if exposure.adverse else "by level"
        what += (
            f": {', '.join(f'{level:g}' for level in exposure.levels)}, the first the reference"
            if exposure.levels
            else ""
        )
        lines.append(f"exposure  {name}, {what}")
    lines.append("")
    for name, prior in model.normal_priors().items():
        reason = f" - {prior.reason}" if prior.reason else ""
        lines.append(f"prior     {name}: {prior.stated}{reason}")
    if model.family == "cumulative":
        thresholds, middle = model.priors.thresholds, model.priors.intercept
        low, high = middle.prevalence_95
        lines.append(
            f"prior     middle threshold: prevalence above it {low:.3g} to {high:.3g} at the means - {middle.reason}"
        )
        lines.append(f"prior     distances of thresholds: {thresholds.stated} - {thresholds.reason}")
    for group in model.parsed.groups:
        for term in [*(["1"] if group.intercept else []), *(":".join(slope) for slope in group.slopes)]:
            spread = model.sd_prior(term, group.factor)
            lines.append(f"prior     SD of {spread.term}: {spread.stated} - {spread.reason}")
    lines += ["", *(f"see       {reference}" for reference in model.references)]
    return "\n".join(lines).rstrip()


def print_validation(
    overlap: pd.DataFrame, agreement: pd.DataFrame, *, notes: list[str], device: str, as_json: bool
) -> None:
    """Print how a network agrees with reference labels.

    Parameters
    ----------
    overlap, agreement : DataFrame
        Of `muscle_bayes.imaging.network.validation.Validation`.
    notes : list of str
        Scans that could not be measured.
    device : str
        Where it was computed.
    as_json : bool
        As JSON.
    """
    if as_json:
        tables = {"overlap": overlap.to_dict("records"), "agreement": agreement.to_dict("records")}
        print_json({**tables, "notes": notes, "device": device})
        return
    columns = {"dice": "Dice", "surface_mean_mm": "surface mm", "hausdorff_95_mm": "Hausdorff 95 % mm"}
    medians = (
        overlap.groupby(["structure", "side"], sort=False)[list(columns)].median().round(3).rename(columns=columns)
    )
    scans = overlap[["participant_id", "session_id"]].drop_duplicates().shape[0]
    typer.echo(f"{scans} scan{'s' if scans != 1 else ''} on {device}; medians over scans")
    typer.echo(medians.reset_index().to_string(index=False))
    if len(agreement):
        shown = [
            "muscle",
            "measure",
            "n",
            "bias",
            "limit_lower",
            "limit_upper",
            "slope",
            "icc",
            "icc_lower",
            "icc_upper",
        ]
        typer.echo("\nPredicted minus reference")
        typer.echo(agreement[shown].round(3).to_string(index=False))
    for note in notes:
        typer.echo(note)
