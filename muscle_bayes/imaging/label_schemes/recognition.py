"""Which scheme a label map follows: what the user says, or the class names in the file; never the name of the file alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from muscle_bayes.errors import LabelSchemeError
from muscle_bayes.imaging.label_schemes.published import PUBLISHED, PublishedScheme, published, versions_of
from muscle_bayes.imaging.labels import MUSCLES, SCHEME, TISSUES, Structure
from muscle_bayes.imaging.schemes import read_scheme

type Scheme = Mapping[int, Structure | tuple[str, str]]

#: What the scheme of this package is called.
OWN = "muscle_bayes"

_NAMES = (*MUSCLES, "other", "all", *TISSUES)


def is_scheme_name(text: str) -> bool:
    """Whether a text names a scheme, with or without a version, and not a file.

    Parameters
    ----------
    text : str
        As in `quantify(scheme=...)`.

    Returns
    -------
    bool
        Also true of a version that is not known, which is no file either.
    """
    name = text.partition("@")[0]
    return name == OWN or bool(versions_of(name))


def choose_scheme(
    scheme: Scheme | str | Path | None, present: Sequence[int], names: Mapping[int, str], file: str
) -> tuple[dict[int, Structure], str]:
    """Find what the ids of a label map mean.

    Parameters
    ----------
    scheme : mapping, str, path or None
        id -> Structure or (muscle, side); a published scheme (`mrsegmentator`, `musclemap_wholebody@1.4`); a table of ids; or
        nothing, where the file is to say it.
    present : sequence of int
        Ids that occur, without 0.
    names : mapping
        id -> class name, from inside the file.
    file : str
        The label map, for messages and for the ending of its name.

    Returns
    -------
    structures : dict
        id -> Structure, for the ids present.
    key : str
        The scheme, with its version where versions differ.

    Raises
    ------
    LabelSchemeError
        Where the scheme is not certain, or does not hold for the ids present.
    """
    if scheme is None:
        found, key = _recognised(present, names, file)
    elif isinstance(scheme, Mapping):
        found, key = {number: _structure(number, entry) for number, entry in scheme.items()}, "mapping"
    else:
        name, _, version = str(scheme).partition("@")
        if name == OWN:
            found, key = dict(SCHEME), OWN
        elif tables := published(name, version):
            table = _decided(tables, present, names, file)
            found, key = table.structures, table.key
        elif Path(scheme).is_file():
            found, key = read_scheme(scheme), Path(scheme).name
        else:
            raise LabelSchemeError(
                where=f"scheme {str(scheme)!r}",
                problem="is neither a published scheme nor a file",
                remedy=f"Choose from {', '.join(_all_names())}, or give a table with the columns id, muscle, side",
            )
    unknown = [number for number in present if number not in found]
    if unknown:
        raise LabelSchemeError(
            where=file,
            problem=f"ids {', '.join(map(str, unknown))} are not in the label scheme {key} (known: {_listed(found)})",
            remedy=_told(present, names, file),
        )
    return {number: found[number] for number in present}, key


def _structure(number: int, entry: Structure | tuple[str, str]) -> Structure:
    """Entry of a user's mapping, checked."""
    if not isinstance(entry, Structure):
        name, side = entry
        entry = Structure(name, side, is_muscle=name not in TISSUES)
    if entry.side not in {"left", "right", "both"}:
        raise LabelSchemeError(
            where=f"scheme id {number}", problem=f"side {entry.side!r}", remedy="Sides are left, right or both"
        )
    if entry.name not in _NAMES:
        raise LabelSchemeError(
            where=f"scheme id {number}",
            problem=f"{entry.name!r} is no structure here",
            remedy=f"Choose from {', '.join(_NAMES)}; a muscle of no group is other, an organ is unmeasured",
        )
    return entry


def _recognised(present: Sequence[int], names: Mapping[int, str], file: str) -> tuple[dict[int, Structure], str]:
    """Scheme of a label map that came without one."""
    meanings = {name: table.structures[number] for table in _naming() for number, name in table.names.items()}
    named = {number: names[number] for number in present if number in names}
    if any(name in meanings for name in named.values()):
        strange = [
            f"{number} ({names.get(number, 'no name')})" for number in present if names.get(number) not in meanings
        ]
        if strange:
            raise LabelSchemeError(
                where=file,
                problem=f"its class names are TotalSegmentator's, but those of ids {', '.join(strange)} are not known here",
                remedy="Give scheme=: a table with the columns id, muscle, side",
            )
        agreeing = [table for table in _naming() if _contradiction(table, present, named) is None]
        if agreeing:
            return agreeing[0].structures, agreeing[0].key
        return {number: meanings[name] for number, name in named.items()}, "class names in the file"
    if not set(present) <= set(SCHEME):
        raise LabelSchemeError(
            where=file,
            problem=f"ids {', '.join(str(number) for number in present if number not in SCHEME)} are not in the label scheme "
            f"{OWN} (known: {_listed(SCHEME)}), and nothing in the file says which tool's they are",
            remedy=_told(present, names, file),
        )
    # The ids are possible ones of this package; a name as another tool writes it leaves it open whose they are.
    rivals = [table for table in _fitting(present) if table.ending and _stem(file).endswith(table.ending)]
    if rivals:
        raise LabelSchemeError(
            where=file,
            problem=f"its ids fit {OWN}, and its name ends as {rivals[0].tool} ends them, so it is not certain what they mean",
            remedy=f"Give scheme={OWN!r} or scheme={rivals[0].key!r}",
        )
    return dict(SCHEME), OWN


def _decided(
    tables: list[PublishedScheme], present: Sequence[int], names: Mapping[int, str], file: str
) -> PublishedScheme:
    """Pick the one table of a named scheme that a file can follow."""
    named = {number: names[number] for number in present if number in names} if tables[0].names_in_file else {}
    agreeing = [table for table in tables if _contradiction(table, present, named) is None]
    if named and not agreeing:
        raise LabelSchemeError(
            where=file,
            problem=f"its own class names contradict the scheme {tables[0].name}: {_contradiction(tables[0], present, named)}",
            remedy="Leave scheme= out, and the names decide; or give a table of ids, which overrules them",
        )
    if len(tables) == 1:
        return tables[0]
    if set(named) == set(present):
        return agreeing[0]
    fits = [table for table in tables if table in _fitting(present)] or tables
    raise LabelSchemeError(
        where=file,
        problem=f"{tables[0].tool} has changed the meaning of its ids between versions, and the file does not say which "
        f"version wrote it (all its ids occur in {', '.join(_range(table) for table in fits)})",
        remedy=f"Give the version: {' or '.join(f'scheme={table.key!r}' for table in fits)}",
    )


def _contradiction(table: PublishedScheme, present: Sequence[int], named: Mapping[int, str]) -> str | None:
    """First id whose name in the file is another than in a table, or None."""
    for number in present:
        if number in named and table.names.get(number) != named[number]:
            return f"id {number} is {named[number]} in the file and {table.names.get(number, 'unknown')} there"
    return None


def _naming() -> list[PublishedScheme]:
    return [table for table in PUBLISHED if table.names_in_file]


def _fitting(present: Sequence[int]) -> list[PublishedScheme]:
    """Return the published tables that hold every id present."""
    return [table for table in PUBLISHED if set(present) <= set(table.names)]


def _told(present: Sequence[int], names: Mapping[int, str], file: str) -> str:
    """Tell what to do where a scheme is needed, with the published ones that fit."""
    fits = _fitting(present)
    own = "a mapping id -> (muscle, side), a table with the columns id, muscle, side, or an ITK-SNAP label file"
    if not fits:
        return f"Give scheme= for labels of another tool: {own}; no published scheme holds all ids that occur"
    # What is named like the file is likelier, and still only a guess for the user to confirm.
    fits.sort(key=lambda table: not (table.ending and _stem(file).endswith(table.ending)))
    keys = ", ".join(f"{table.key!r}" for table in fits)
    return f"Give scheme= for labels of another tool; these hold all ids that occur: {keys}; or {own}"


def _listed(scheme: Mapping[int, object]) -> str:
    ids = sorted(scheme)
    return ", ".join(map(str, ids)) if len(ids) <= 20 else f"{len(ids)} ids from {ids[0]} to {ids[-1]}"


def _all_names() -> list[str]:
    names = dict.fromkeys([OWN, *(table.name for table in PUBLISHED)])
    return [f"{name}@VERSION" if len(versions_of(name)) > 1 else name for name in names]


def _range(table: PublishedScheme) -> str:
    return " to ".join(dict.fromkeys(table.versions))


def _stem(file: str) -> str:
    """Name of a file without .nii or .nii.gz."""
    return Path(file).name.removesuffix(".gz").removesuffix(".nii")
