"""Who was scanned otherwise than the rest: sequence parameters of each scan against those of its site."""

from collections.abc import Sequence

import pandas as pd

from muscle_bayes.errors import MissingColumnError

#: What is compared, in words; numbers count as the same within a share of the usual one.
PARAMETERS = {
    "repetition_time_ms": ("repetition time", "ms"),
    "echo_times_ms": ("echo time", "ms"),
    "flip_angle_deg": ("flip angle", "degrees"),
    "field_strength_t": ("field strength", "T"),
    "voxel_x_mm": ("voxel size left to right", "mm"),
    "voxel_y_mm": ("voxel size back to front", "mm"),
    "voxel_z_mm": ("slice distance", "mm"),
    "matrix": ("matrix", ""),
    "stations": ("stations", ""),
    "manufacturer": ("manufacturer", ""),
    "scanner": ("scanner", ""),
    "scanner_id": ("scanner number", ""),
    "software": ("software", ""),
}
TOLERANCE = 0.01

#: A value that at least this share of a group has is a way in which the group is scanned, not an exception.
COMMON_SHARE = 0.1
#: Groups with fewer scans cannot say what is usual; they are held against everybody, and fewer scans in all against nobody.
SMALLEST_GROUP = 10
#: The matrix follows the body where images are cropped; it is a property of the sequence where at least this share has one.
MATRIX_SHARE = 0.5

COLUMNS = ("site", "participant_id", "session_id", "parameter", "value", "usual", "scans", "of", "sentence")


def audit_sequences(facts: pd.DataFrame, *, parameters: Sequence[str] = tuple(PARAMETERS)) -> pd.DataFrame:
    """Say whose sequence differs from the rest of the cohort.

    What is usual is the commonest value of a site (of everybody, where there are no sites or a site has under 10 scans). A value
    that under a tenth of the site has is told for each scan; one that more have is told once for the site, because it is a
    change of protocol, scanner or software and nobody's mistake; and so is a site whose usual value is not that of most sites.
    Under 10 scans in all are not compared. Neither are matrices where no one matrix is that of half of the scans: images that
    were cropped to the body differ in it, and in nothing that was measured.

    Parameters
    ----------
    facts : pandas.DataFrame
        One row a scan: participant_id, session_id, perhaps site, and the facts of `DeliveredScan`; missing ones are empty.
    parameters : sequence of str
        Which facts are compared.

    Returns
    -------
    pandas.DataFrame
        One row a difference: site, participant_id and session_id ("" for a site's), parameter, value, usual, how many `scans`
        `of` how many have the value, and a sentence. Empty where all are alike.

    Raises
    ------
    MissingColumnError
        Where nobody's scan it is.
    """
    if "participant_id" not in facts:
        raise MissingColumnError(
            "facts", "There is no column participant_id", "Give one row a scan with its participant"
        )
    facts = facts.reset_index(drop=True)
    known = [p for p in parameters if p in facts and facts[p].notna().any()] if len(facts) >= SMALLEST_GROUP else []
    sites = (
        facts["site"].astype("str").where(facts["site"].notna(), "") if "site" in facts else pd.Series("", facts.index)
    )
    sessions = facts["session_id"].fillna("").astype("str") if "session_id" in facts else pd.Series("", facts.index)
    frame = facts.assign(site=sites, session_id=sessions)
    rows: list[dict[str, object]] = []
    for parameter in known:
        values = _grouped(frame[parameter])
        usual_of_sites: dict[str, str] = {}
        for site, index in frame.groupby("site", sort=True).groups.items():
            own = values.loc[index]
            large = len(own) >= SMALLEST_GROUP and own.ne("").any()
            against = own if large else values
            usual = _usual(against)
            if parameter == "matrix" and (against == usual).mean() < MATRIX_SHARE:
                continue
            if large and site != "":
                usual_of_sites[str(site)] = usual
            counts = against.value_counts()
            told: set[str] = set()
            for at, value in own.items():
                share = counts.get(value, 0) / len(against)
                if value == usual or value in told:
                    continue
                if share >= COMMON_SHARE:
                    told.add(value)
                rows.append(
                    _row(
                        frame.loc[[at]].iloc[0],
                        str(site),
                        parameter,
                        value,
                        usual,
                        int(counts[value]),
                        len(against),
                        share,
                    )
                )
        if len(usual_of_sites) > 2:
            rows.extend(_sites(usual_of_sites, parameter, values, frame["site"]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _grouped(column: pd.Series) -> pd.Series:
    """Values as text, numbers within the tolerance of a commoner one under its name; "" where nothing is stated."""
    if not pd.api.types.is_numeric_dtype(column):
        return column.astype("str").where(column.notna(), "")
    centres: list[float] = []
    names: dict[float, str] = {}
    for value in column.dropna().value_counts().index:
        number = float(value)
        near = next((c for c in centres if abs(number - c) <= TOLERANCE * abs(c)), None)
        if near is None:
            centres.append(number)
        names[value] = f"{number if near is None else near:g}"
    return column.map(names).fillna("")


def _usual(values: pd.Series) -> str:
    """Return the commonest value that is stated; of equally common ones the first in order, so that a tie has one answer."""
    counts = values[values != ""].value_counts()
    return "" if counts.empty else min(counts.index[counts == counts.max()])


def _row(
    scan: pd.Series, site: str, parameter: str, value: str, usual: str, count: int, of: int, share: float
) -> dict[str, object]:
    name, unit = PARAMETERS.get(parameter, (parameter, ""))
    common = share >= COMMON_SHARE
    whose = f"participant {scan['participant_id']}" + (f", session {scan['session_id']}" if scan["session_id"] else "")
    place = f"site {site}" if site else "the cohort"
    if common and value == "":
        sentence = f"{count:,} of {of:,} scans of {place} do not state the {name}; the usual one is {_in(usual, unit)}"
    elif common:
        sentence = (
            f"{count:,} of {of:,} scans of {place} have {name} {_in(value, unit)}; the usual one is {_in(usual, unit)}"
        )
    elif value == "":
        sentence = f"{whose}: {name} is not stated; {of - count:,} of {of:,} scans state it"
    else:
        sentence = f"{whose}: {name} is {_in(value, unit)}; the usual one is {_in(usual, unit)} ({count:,} of {of:,} differ so)"
    return {
        "site": site,
        "participant_id": "" if common else scan["participant_id"],
        "session_id": "" if common else scan["session_id"],
        "parameter": parameter,
        "value": value,
        "usual": usual,
        "scans": count,
        "of": of,
        "sentence": sentence,
    }


def _sites(
    usual_of_sites: dict[str, str], parameter: str, values: pd.Series, sites: pd.Series
) -> list[dict[str, object]]:
    """Sites whose usual value is not that of most sites; a scanner's number differs between sites by nature."""
    most = pd.Series(usual_of_sites).value_counts()
    if parameter == "scanner_id" or most.iloc[0] <= len(usual_of_sites) / 2:
        return []
    name, unit = PARAMETERS.get(parameter, (parameter, ""))
    usual = str(most.index[0])
    rows: list[dict[str, object]] = []
    for site, value in usual_of_sites.items():
        if value == usual:
            continue
        own = values[sites == site]
        rows.append(
            {
                "site": site,
                "participant_id": "",
                "session_id": "",
                "parameter": parameter,
                "value": value,
                "usual": usual,
                "scans": int((own == value).sum()),
                "of": len(own),
                "sentence": f"site {site} has {name} {_in(value, unit)}; {most.iloc[0]} of {len(usual_of_sites)} sites have "
                f"{_in(usual, unit)}",
            }
        )
    return rows


def _in(value: str, unit: str) -> str:
    return f"{value} {unit}".strip()
