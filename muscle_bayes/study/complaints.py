"""What is wrong with a study file, in the words of the file and not of the library that checks it."""

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from muscle_bayes.cohort.names import nearest

_UNION_MEMBERS = frozenset({"str", "Recoding"})
_PLAIN_WORDS = {"model_type": "This must be a table", "tuple_type": "This must be a list of tables, [[...]]"}


def complaints(error: ValidationError, root: type[BaseModel]) -> list[tuple[str, str, str]]:
    """Return everything that is wrong, each once.

    Parameters
    ----------
    error : pydantic.ValidationError
        Of the study.
    root : type of pydantic.BaseModel
        The study's schema, for the keys that it knows.

    Returns
    -------
    list of tuple of str
        Place in the file, problem, remedy.
    """
    return list(dict.fromkeys(_tell(detail, root) for detail in _root_causes(error.errors())))


def _root_causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the complaints without those that only follow from others: a list is short because its member is wrong."""
    places = [detail["loc"] for detail in details]

    def follows(detail: ErrorDetails) -> bool:
        loc = detail["loc"]
        if detail["type"] == "too_short":
            return any(place[: len(loc)] == loc and len(place) > len(loc) for place in places)
        # "name or recoding": where a recoding was written, that it is no plain name is no news.
        return bool(loc) and loc[-1] == "str" and any(place[: len(loc)] == (*loc[:-1], "Recoding") for place in places)

    return [detail for detail in details if not follows(detail)]


def _tell(detail: ErrorDetails, root: type[BaseModel]) -> tuple[str, str, str]:
    """Return place, problem and remedy of one complaint of pydantic."""
    loc = [str(part) for part in detail["loc"]]
    known = ["column", "values"] if loc[3:4] == ["Recoding"] else _keys_beside(loc, root)
    # Members of a union (a column's plain name or recoding) are a level of pydantic's, not of the file.
    loc = [part for level, part in enumerate(loc) if level != 3 or part not in _UNION_MEMBERS]
    place = _place(loc)
    kind = detail["type"]
    message = _PLAIN_WORDS.get(kind, detail["msg"].removeprefix("Value error, "))
    if kind == "extra_forbidden":
        near, elsewhere = nearest(loc[-1], known), _tables_with(loc[-1], root)
        remedy = f"Perhaps you meant {near!r}" if near else f"Use one of {', '.join(known)}"
        if elsewhere:
            other = f", or perhaps you meant {near!r}" if near else ""
            remedy = f"It belongs under {' or '.join(elsewhere)}{other}"
        return place, f"Unknown key {loc[-1]!r}", remedy
    if kind == "missing":
        return place, "This is missing", "Add it; `muscle-bayes init DIR` writes a study.toml that explains every key"
    given = detail.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return place, f"{message}{shown}", "Correct it"


def _place(loc: list[str]) -> str:
    """Return a location as people write it: `[[fits]] number 2, method`."""
    if not loc:
        return ""
    table, rest = loc[0], loc[1:]
    if rest and rest[0].isdigit():
        return ", ".join([f"[[{table}]] number {int(rest[0]) + 1}", *rest[1:]])
    return f"[{table}] {'.'.join(rest)}".strip()


def _keys_beside(loc: list[str], root: type[BaseModel]) -> list[str]:
    """Return the keys that the table of an unknown key does know."""
    section: Any = root
    for part in loc[:-1]:
        if part.isdigit() or not (isinstance(section, type) and issubclass(section, BaseModel)):
            continue
        if part not in section.model_fields:
            break
        annotation = section.model_fields[part].annotation
        inside = [a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
        section = inside[0] if inside else annotation
    if isinstance(section, type) and issubclass(section, BaseModel):
        return [name for name in section.model_fields if name != "folder"]
    return []


def _tables_with(key: str, root: type[BaseModel]) -> list[str]:
    """Return the tables of the file that do know a key, as people write them."""
    found = [table for table, names in _tables(root) if key in names]
    # What formats of deliveries may be told is no fixed list of the schema's, and is looked up only where a key is unknown.
    from muscle_bayes.imaging.deliveries.finding import SETTINGS

    formats = [name for name, takes in SETTINGS.items() if key in takes]
    return found + ([f"[images.settings] (format {' or '.join(formats)})"] if formats else [])


def _tables(section: type[BaseModel], place: str = "") -> list[tuple[str, list[str]]]:
    """Return each table of the file below the top with the keys that it knows."""
    each = [(f"[{place}]", list(section.model_fields))] if place else []
    for name, about in section.model_fields.items():
        inside = [about.annotation, *get_args(about.annotation)]
        for part in inside:
            if isinstance(part, type) and issubclass(part, BaseModel):
                listed = about.annotation is not part and "tuple" in str(about.annotation)
                below = _tables(part, f"{place}.{name}" if place else name)
                each += [
                    (f"[{table}]" if listed and at == 0 else table, keys) for at, (table, keys) in enumerate(below)
                ]
    return each
