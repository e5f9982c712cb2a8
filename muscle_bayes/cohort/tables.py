"""Tables on disk: csv with commas, semicolons or tabs, and parquet; everything is text until its column is known."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from muscle_bayes.errors import EmptyTableError, TableError

#: Cells that mean "no value", in the words of R, SAS, Stata, SPSS exports and Excel.
MISSING_MARKERS = frozenset({"", ".", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A", "<NA>"})
_DELIMITERS = (",", ";", "\t", "|")


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a table, with every cell of a text file kept as text.

    Parameters
    ----------
    path : path
        `.csv` (comma, semicolon, tab or bar; UTF-8 or Windows-1252), `.tsv`, `.txt`, or `.parquet`.

    Returns
    -------
    pandas.DataFrame
        Cells of text files are `str`; missing markers are missing. Parquet keeps its types.

    Raises
    ------
    TableError
        Where the file is absent, of another kind, or cannot be read.
    EmptyTableError
        Where it has no rows.
    """
    path = Path(path)
    if not path.is_file():
        raise TableError(where=str(path), problem="There is no such file", remedy="Check the path")
    kind = path.suffix.lower()
    if kind == ".parquet":
        try:
            table = pd.read_parquet(path)
        except Exception as error:
            raise TableError(
                where=str(path),
                problem=f"The file cannot be read as parquet ({error})",
                remedy="Write it again, or use csv",
            ) from error
    elif kind in {".csv", ".tsv", ".txt"}:
        table = _parse_text(_decode(path), path)
    else:
        raise TableError(
            where=str(path),
            problem=f"Tables of type {kind or 'without an ending'!r} are not read",
            remedy="Use csv, tsv or parquet",
        )
    if table.empty:
        raise EmptyTableError(
            where=str(path), problem="The table has no rows", remedy="Check that the export is complete"
        )
    return table


def _decode(path: Path) -> str:
    """Return the text of a file; Excel on Windows still writes Windows-1252."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _delimiter(header: str) -> str:
    """Return the delimiter that the header line uses most, outside quotes."""
    bare = "".join(header.split('"')[::2])
    counts = {d: bare.count(d) for d in _DELIMITERS}
    return max(_DELIMITERS, key=lambda d: counts[d])


def _parse_text(text: str, path: Path) -> pd.DataFrame:
    """Parse delimited text; a row with more or fewer cells than the header is an error, not a shift."""
    header_line = next((line for line in text.splitlines() if line.strip()), "")
    if not header_line:
        raise EmptyTableError(where=str(path), problem="The file is empty", remedy="Check that the export is complete")
    delimiter = _delimiter(header_line)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] = []
    rows: list[list[str]] = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            continue
        if len(cells) != len(header):
            hint = (
                "; decimal commas need semicolons between cells, or quotes"
                if delimiter == "," and len(cells) > len(header)
                else ""
            )
            raise TableError(
                where=f"{path}, line {reader.line_num}",
                problem=f"The line has {len(cells)} cells and the header {len(header)}{hint}",
                remedy="Correct the line or export the table again",
            )
        rows.append(cells)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise TableError(where=str(path), problem=f"Two columns are called {twice[0]!r}", remedy="Rename one of them")
    table = pd.DataFrame(rows, columns=header, dtype="str")
    for name in header:
        cells_of = table[name].str.strip()
        table[name] = cells_of.mask(cells_of.isin(list(MISSING_MARKERS)))
    return table


def identifiers(values: pd.Series) -> pd.Series:
    """Return identifiers as text: leading zeros stay, and 17.0 (an integer column with a gap) becomes "17".

    Parameters
    ----------
    values : pandas.Series
        Shape (n,).

    Returns
    -------
    pandas.Series
        Shape (n,), dtype str, missing where there is none.
    """
    if isinstance(values.dtype, pd.StringDtype) or values.dtype == object:
        text = values.map(lambda v: v if pd.isna(v) else str(v).strip())
    elif pd.api.types.is_float_dtype(values.dtype):
        text = values.map(lambda v: None if pd.isna(v) else (str(int(v)) if float(v).is_integer() else str(v)))
    else:
        text = values.map(lambda v: None if pd.isna(v) else str(v))
    text = text.astype("str")
    return text.mask(text.isin(list(MISSING_MARKERS)))


def numbers(values: pd.Series) -> tuple[pd.Series, pd.Series, str | None]:
    """Read a column as numbers, with decimal points or decimal commas, never both.

    Parameters
    ----------
    values : pandas.Series
        Shape (n,), numbers, booleans or text.

    Returns
    -------
    numbers : pandas.Series
        Shape (n,) float64, missing where a cell is missing or unreadable.
    unreadable : pandas.Series
        Shape (n,) bool.
    why : str or None
        What is wrong with the unreadable cells.
    """
    nothing = pd.Series(False, index=values.index)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return pd.Series(values.to_numpy(dtype=float, na_value=np.nan), index=values.index), nothing, None
    text = values.map(lambda v: v if pd.isna(v) else str(float(v) if isinstance(v, bool) else v).strip()).astype("str")
    text = text.mask(text.isin(list(MISSING_MARKERS)))
    comma = text.str.fullmatch(r"[-+]?\d*,\d+", na=False).astype(bool)
    point = text.str.fullmatch(r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?", na=False).astype(bool)
    if comma.any() and point.any():
        fewer = comma if comma.sum() <= point.sum() else point
        return pd.Series(np.nan, index=values.index), fewer, "decimal commas and decimal points are mixed"
    read = pd.to_numeric(text.str.replace(",", ".", regex=False), errors="coerce").astype("float64")
    unreadable = text.notna() & read.isna()
    return read, unreadable, "not a number" if unreadable.any() else None


def first_few(ids: pd.Series | list[str], shown: int = 3) -> str:
    """Return the first identifiers as text, and how many more there are."""
    names = [str(i) for i in ids]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
