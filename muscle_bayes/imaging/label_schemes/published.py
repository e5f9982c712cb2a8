"""Label schemes that other tools publish: one table a scheme under `tables/`, in the form that users write their own in."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from muscle_bayes.errors import LabelSchemeError
from muscle_bayes.imaging.labels import Structure
from muscle_bayes.imaging.schemes import read_scheme

_TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True)
class PublishedScheme:
    """Ids of one tool, for the versions in which they mean the same.

    Attributes
    ----------
    name : str
        What `quantify(scheme=...)` calls it.
    tool : str
        What wrote the label map, in its own words.
    table : str
        File under `tables/`, whose head says where its ids were read.
    versions : tuple of str
        First and last version that the table holds for, both included; empty where all versions share their ids.
    ending : str
        How the tool ends the names of its files, before `.nii.gz`; empty where the user chooses.
    names_in_file : bool
        Whether the tool writes its class names: into the NIfTI extension, or as the names of one file a class.
    """

    name: str
    tool: str
    table: str
    versions: tuple[str, ...] = ()
    ending: str = ""
    names_in_file: bool = False

    @property
    def key(self) -> str:
        """Name with the first version of the table, where versions differ: `musclemap_wholebody@1.4`."""
        return f"{self.name}@{self.versions[0]}" if len(versions_of(self.name)) > 1 else self.name

    @property
    def structures(self) -> dict[int, Structure]:
        """Id -> Structure."""
        return _structures(self.table)

    @property
    def names(self) -> dict[int, str]:
        """Id -> the tool's own name of the class."""
        return _names(self.table)

    def holds_for(self, version: str) -> bool:
        """Whether the table is that of a version such as 1.4 or 2.18.0."""
        if not self.versions:
            return True
        # 2.5 stands for all of 2.5.x: versions are compared to the digits that the bound has.
        first, last = (_digits(bound) for bound in self.versions)
        asked = _digits(version)
        return bool(asked) and first <= asked and asked[: len(last)] <= last


@cache
def _structures(table: str) -> dict[int, Structure]:
    return read_scheme(_TABLES / table)


@cache
def _names(table: str) -> dict[int, str]:
    lines = (_TABLES / table).read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")
    return {int(row["id"]): row["name"] for row in rows}


def _digits(version: str) -> tuple[int, ...]:
    parts = version.strip().removeprefix("v").split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


#: Where several fit, the first is named: of one tool the newest.
PUBLISHED: tuple[PublishedScheme, ...] = (
    PublishedScheme(
        "totalsegmentator_mr",
        "TotalSegmentator, task total_mr",
        "totalsegmentator_mr_2.5.tsv",
        versions=("2.5", "2.18"),
        names_in_file=True,
    ),
    PublishedScheme(
        "totalsegmentator_thigh_shoulder_mr",
        "TotalSegmentator, task thigh_shoulder_muscles_mr",
        "totalsegmentator_thigh_shoulder_mr.tsv",
        versions=("2.5", "2.18"),
        names_in_file=True,
    ),
    PublishedScheme(
        "totalsegmentator_mr",
        "TotalSegmentator, task total_mr",
        "totalsegmentator_mr_2.2.tsv",
        versions=("2.2", "2.4"),
        names_in_file=True,
    ),
    PublishedScheme(
        "totalsegmentator_ct",
        "TotalSegmentator, task total",
        "totalsegmentator_ct.tsv",
        versions=("2.2", "2.18"),
        names_in_file=True,
    ),
    PublishedScheme("vibesegmentator", "VIBESegmentator (TotalVibeSegmentator)", "vibesegmentator.tsv"),
    PublishedScheme("mrsegmentator", "MRSegmentator", "mrsegmentator.tsv", versions=("1.0", "1.2"), ending="_seg"),
    *(
        PublishedScheme(
            "musclemap_wholebody",
            "MuscleMap, whole-body model",
            f"musclemap_wholebody_{versions[0]}.tsv",
            versions=versions,
            ending="_dseg",
        )
        for versions in (("1.4", "1.4"), ("1.2", "1.3"), ("1.0", "1.1"))
    ),
)

#: Other names of the same scheme.
ALIASES = {"totalvibesegmentator": "vibesegmentator", "musclemap": "musclemap_wholebody"}


def versions_of(name: str) -> list[PublishedScheme]:
    """Return the tables of a scheme, newest first; none where there is no such scheme.

    Parameters
    ----------
    name : str
        Name or alias, without a version.

    Returns
    -------
    list of PublishedScheme
        One for each range of versions that share their ids.
    """
    name = ALIASES.get(name, name)
    return [scheme for scheme in PUBLISHED if scheme.name == name]


def published(name: str, version: str = "") -> list[PublishedScheme]:
    """Find the tables of a scheme that a version leaves open.

    Parameters
    ----------
    name : str
        Name or alias.
    version : str
        Version of the tool (of MuscleMap: of its whole-body model), or nothing.

    Returns
    -------
    list of PublishedScheme
        One where the version decides, else all of that name.

    Raises
    ------
    LabelSchemeError
        Where no table holds for the version.
    """
    tables = versions_of(name)
    fitting = [table for table in tables if table.holds_for(version)] if version else tables
    if tables and not fitting:
        ranges = ", ".join(f"{'-'.join(dict.fromkeys(table.versions))}" for table in tables)
        raise LabelSchemeError(
            where=f"scheme {name}@{version}",
            problem=f"the ids of {tables[0].tool} {version} are not known here",
            remedy=f"Known are {ranges}; where the ids are those of one of them give its version, else give a table of ids",
        )
    return fitting
