"""Cohort: the validated table, who left it, what its columns mean, and where it came from."""

import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from muscle_bayes import __version__
from muscle_bayes.cohort.dictionary import describe
from muscle_bayes.cohort.exposure import Exposure
from muscle_bayes.cohort.files import file_sha256, whole_file
from muscle_bayes.errors import TableError

_TABLE, _SIDECAR, _FLOW = "cohort.parquet", "cohort.json", "flow.csv"


@dataclass(frozen=True, eq=False, repr=False)
class Cohort:
    """One row a participant, in raw units, validated.

    Attributes
    ----------
    table : pandas.DataFrame
        Canonical columns first, then the study's own.
    flow : pandas.DataFrame
        Columns step, reason, n_removed, n_left; the first row counts what was read.
    dictionary : pandas.DataFrame
        Columns column, unit, description.
    simulated : bool
        Whether any row was simulated.
    exposure : Exposure
        Which measurements the exposure columns are, with the region, backend and weights that were found.
    notes : tuple of str
        What a reader should know: columns with nearly canonical names, missing exposures.
    sources : mapping
        Name -> file and its SHA-256, for what was read from files.
    """

    table: pd.DataFrame
    flow: pd.DataFrame
    dictionary: pd.DataFrame
    simulated: bool
    exposure: Exposure = field(default_factory=Exposure)
    notes: tuple[str, ...] = ()
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    def summary(self) -> pd.DataFrame:
        """Return a description of every column that has a meaning to the analysis.

        Returns
        -------
        pandas.DataFrame
            Columns column, unit, missing, summary (median and quartiles, or counts).
        """
        rows = []
        for name, unit in zip(self.dictionary["column"], self.dictionary["unit"], strict=True):
            if name in {"participant_id", "session_id"}:
                continue
            values = self.table[name]
            rows.append(
                {"column": name, "unit": unit, "missing": int(values.isna().sum()), "summary": _summary(values)}
            )
        return pd.DataFrame(rows, columns=["column", "unit", "missing", "summary"])

    def save(self, folder: Path | str) -> Path:
        """Write cohort.parquet, cohort.json and flow.csv, each whole or not at all.

        Parameters
        ----------
        folder : path
            Made where it does not exist.

        Returns
        -------
        pathlib.Path
            The parquet file.
        """
        folder = Path(folder)
        with whole_file(folder / _TABLE) as path:
            self.table.to_parquet(path, index=False)
        with whole_file(folder / _FLOW) as path:
            self.flow.to_csv(path, index=False)
        sidecar = {
            "simulated": self.simulated,
            "participants": len(self.table),
            "exposure": asdict(self.exposure),
            "notes": list(self.notes),
            "sources": {name: dict(source) for name, source in self.sources.items()},
            "dictionary": self.dictionary.to_dict(orient="records"),
            "table_sha256": file_sha256(folder / _TABLE),
            "muscle_bayes": __version__,
        }
        with whole_file(folder / _SIDECAR) as path:
            path.write_text(json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return folder / _TABLE

    @classmethod
    def load(cls, folder: Path | str) -> "Cohort":
        """Read a cohort that `save` wrote.

        Parameters
        ----------
        folder : path
            Folder with cohort.parquet, cohort.json and flow.csv.

        Returns
        -------
        Cohort
            As it was saved.

        Raises
        ------
        TableError
            Where a file is absent, or the table is not the one that the sidecar describes.
        """
        folder = Path(folder)
        absent = [name for name in (_TABLE, _SIDECAR, _FLOW) if not (folder / name).is_file()]
        if absent:
            raise TableError(where=str(folder), problem=f"There is no {absent[0]}", remedy="Save the cohort again")
        sidecar: dict[str, Any] = json.loads((folder / _SIDECAR).read_text(encoding="utf-8"))
        if sidecar["table_sha256"] != file_sha256(folder / _TABLE):
            raise TableError(
                where=str(folder / _TABLE),
                problem="The table was changed after it was saved, so flow and dictionary no longer describe it",
                remedy="Read the cohort again with read_cohort and save it",
            )
        exposure = {**sidecar["exposure"], "pool": tuple(sidecar["exposure"]["pool"])}
        table = pd.read_parquet(folder / _TABLE)
        return cls(
            table=table,
            flow=pd.read_csv(folder / _FLOW, keep_default_na=False),
            dictionary=pd.DataFrame(sidecar["dictionary"], columns=["column", "unit", "description"]),
            simulated=sidecar["simulated"],
            exposure=Exposure(**exposure),
            notes=tuple(sidecar["notes"]),
            sources=sidecar["sources"],
        )

    def __repr__(self) -> str:
        return (
            self._headline() + "\n" + self.flow.to_string(index=False) + "\n\n" + self.summary().to_string(index=False)
        )

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<p><strong>{html.escape(self._headline())}</strong></p>"
            f"{self.flow.to_html(index=False, border=0)}{self.summary().to_html(index=False, border=0)}"
            + (f"<ul>{notes}</ul>" if notes else "")
        )

    def _headline(self) -> str:
        simulated = ", simulated data" if self.simulated else ""
        return f"Cohort of {len(self.table):,} participants{simulated}"


def _summary(values: pd.Series) -> str:
    """Return median and quartiles of a quantity, or the counts of a category."""
    present = values.dropna()
    if present.empty:
        return "all missing"
    is_number = pd.api.types.is_numeric_dtype(present.dtype)
    if is_number and set(present.unique()) <= {0, 1}:
        return f"{int(present.sum()):,} of {len(present):,} ({100 * present.mean():.1f} %)"
    if is_number:
        low, middle, high = present.quantile([0.25, 0.5, 0.75])
        return f"median {middle:.4g} (quartiles {low:.4g}, {high:.4g})"
    counts = present.astype(str).value_counts()
    shown = ", ".join(f"{level} {n:,}" for level, n in counts.head(6).items())
    return shown + (f" and {len(counts) - 6} more" if len(counts) > 6 else "")


def make_cohort(
    table: pd.DataFrame,
    flow: pd.DataFrame,
    *,
    simulated: bool,
    exposure: Exposure,
    notes: tuple[str, ...],
    sources: Mapping[str, Mapping[str, str]],
    attrs: Mapping[Any, Any],
    adipose: str | None = None,
) -> Cohort:
    """Put a Cohort together, with its dictionary and the mark of simulated data on the table.

    Parameters
    ----------
    table, flow : pandas.DataFrame
        As in Cohort.
    simulated, exposure, notes, sources
        As in Cohort.
    attrs : mapping
        What the participant table said about itself; stays with the table.
    adipose : str, optional
        What the dictionary says of adipose tissue in the exposures, as in `describe`; the exposure's own by default.

    Returns
    -------
    Cohort
        With `dictionary`.
    """
    table.attrs = {**attrs, "simulated": simulated}
    return Cohort(
        table=table,
        flow=flow,
        dictionary=describe(table.columns, adipose or exposure.adipose),
        simulated=simulated,
        exposure=exposure,
        notes=notes,
        sources=sources,
    )
