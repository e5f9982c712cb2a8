"""Label schemes from files: a table of ids, or the label descriptions that ITK-SNAP writes."""

import csv
import re
from pathlib import Path

from muscle_bayes.errors import LabelSchemeError
from muscle_bayes.imaging.labels import MUSCLES, TISSUES, Structure

#: Words in the name of a structure -> what it is called here; the first that fits counts. What fits none is "other".
_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # Muscles of the foot and hand that share a name with the thigh's.
    ("other", ("hallucis", "digiti", "pollicis", "brachii", "quadratus")),
    ("autochthonous", ("autochthon", "erector spinae", "multifidus", "longissimus", "iliocostalis")),
    ("iliopsoas", ("iliopsoas", "psoas", "iliacus")),
    ("gluteals", ("glute",)),
    ("quadriceps", ("quadriceps", "vastus", "rectus femoris")),
    ("adductors", ("adductor", "gracilis", "pectineus")),
    ("hamstrings", ("hamstring", "biceps femoris", "semitendinosus", "semimembranosus")),
    ("sartorius", ("sartorius", "satorius")),
    ("subcutaneous_fat", ("subcutaneous",)),
)
_BONES = re.compile(r"\b(bones?|femur|tibia|fibula|patella|ilium|pelvis|sacrum|vertebra\w*|humerus|marrow)\b")
_ITK_SNAP = re.compile(r'^\s*(\d+)(?:\s+[\d.]+){6}\s+"(.*)"\s*$')


def read_scheme(path: str | Path) -> dict[int, Structure]:
    """Read which id means which structure.

    Parameters
    ----------
    path : path
        A tab- or comma-separated table with the columns id, muscle, side (lines that begin with # are comments), or an
        ITK-SNAP label description file, whose names are sorted into the muscle groups of this package by their words.
        Numbers inside the names are ignored.

    Returns
    -------
    dict
        id -> Structure; background (id 0) is left out.

    Raises
    ------
    LabelSchemeError
        Naming the file and the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelSchemeError(
            where=str(path),
            problem=f"cannot be read as text ({error})",
            remedy="Give a table or an ITK-SNAP label file",
        ) from error
    numbered = enumerate(text.splitlines(), start=1)
    lines = [(number, line) for number, line in numbered if line.strip() and not line.startswith("#")]
    described = [(number, match) for number, line in lines if (match := _ITK_SNAP.match(line))]
    if described:
        entries = [(number, int(match[1]), *_sorted_name(match[2])) for number, match in described]
    else:
        entries = _table(path, lines)
    scheme: dict[int, Structure] = {}
    for line, identifier, name, side in entries:
        if identifier == 0:
            continue
        where = f"{path}, line {line}"
        if identifier in scheme:
            raise LabelSchemeError(where, f"id {identifier} occurs twice", "Keep one line for each id")
        if name not in (*MUSCLES, "other", *TISSUES):
            raise LabelSchemeError(
                where, f"{name!r} is no structure here", f"Choose from {', '.join((*MUSCLES, 'other', *TISSUES))}"
            )
        if side not in ("left", "right", "both"):
            raise LabelSchemeError(where, f"side {side!r} is not known", "Sides are left, right or both")
        scheme[identifier] = Structure(name, side, is_muscle=name not in TISSUES)
    if not scheme:
        raise LabelSchemeError(str(path), "no structure is named in it", "Write the columns id, muscle, side")
    return scheme


def _table(path: Path, lines: list[tuple[int, str]]) -> list[tuple[int, int, str, str]]:
    """Rows of a table with the columns id, muscle, side; as (line, id, muscle, side)."""
    delimiter = "\t" if lines and "\t" in lines[0][1] else ","
    header = [name.strip().lower() for name in lines[0][1].split(delimiter)] if lines else []
    missing = [name for name in ("id", "muscle", "side") if name not in header]
    if missing:
        raise LabelSchemeError(
            str(path), f"has no column {', '.join(missing)}", "Write a table with the columns id, muscle, side"
        )
    entries = []
    for number, line in lines[1:]:
        row = dict(zip(header, (cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))), strict=False))
        if not row.get("id", "").isdecimal():
            raise LabelSchemeError(
                f"{path}, line {number}", f"id {row.get('id')!r} is not a whole number", "Write the id"
            )
        entries.append((number, int(row["id"]), row.get("muscle", ""), row.get("side", "")))
    return entries


def structure_in_words(words: str) -> str | None:
    """Return the structure that is named in some words, or None where none is.

    Parameters
    ----------
    words : str
        Lower case, such as "erector spinae".

    Returns
    -------
    str or None
        Name of a muscle group, "bone" or "subcutaneous_fat"; "other" for muscles that are known to be none of these.
    """
    if _BONES.search(words):
        return "bone"
    return next((name for name, parts in _WORDS if any(part in words for part in parts)), None)


def _sorted_name(described: str) -> tuple[str, str]:
    """Structure and side of a name in words, such as "63 Satorius Left"."""
    words = described.lower()
    side = next((side for side in ("left", "right") if re.search(rf"\b{side}\b", words)), "both")
    return structure_in_words(words) or "other", side
