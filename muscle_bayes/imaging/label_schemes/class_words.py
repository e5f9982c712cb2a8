"""What a class name in words means, such as a trained network's own file of labels holds them."""

import re
from collections.abc import Mapping

from muscle_bayes.imaging.label_schemes.published import PUBLISHED
from muscle_bayes.imaging.labels import MUSCLES, TISSUES, Structure
from muscle_bayes.imaging.schemes import structure_in_words

_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}


def structure_of_class(name: str) -> Structure | None:
    """Tell which structure a class name means.

    Parameters
    ----------
    name : str
        This project's words ("autochthonous_left", "other muscle"), a class of a published scheme ("autochthon_left"), or words
        in which a muscle is named ("Erector spinae L").

    Returns
    -------
    Structure or None
        None where the name fits nothing: it is then not guessed to be some muscle.
    """
    words = [word for word in re.split(r"[\s_\-.,()]+", name.strip().lower()) if word]
    sides = {_SIDES[word] for word in words if word in _SIDES}
    side = sides.pop() if len(sides) == 1 else "both"
    plain = "_".join(word for word in words if word not in _SIDES)
    if plain in ("other", "other_muscle", "other_muscles"):
        return Structure("other", side)
    if plain in (*MUSCLES, *TISSUES):
        return Structure(plain, side, is_muscle=plain in MUSCLES)
    published = _published().get("_".join(words))
    if published is not None:
        return published
    found = structure_in_words(plain.replace("_", " "))
    return None if found is None else Structure(found, side, is_muscle=found not in TISSUES)


def structures_of_classes(names: Mapping[int, str]) -> tuple[dict[int, Structure], list[str]]:
    """Sort the classes of a label map into structures.

    Parameters
    ----------
    names : mapping
        id -> class name; background is left out.

    Returns
    -------
    structures : dict
        id -> Structure, of the names that fit.
    unknown : list of str
        Names that fit nothing.
    """
    found = {number: structure_of_class(name) for number, name in names.items()}
    known = {number: structure for number, structure in found.items() if structure is not None}
    return known, [names[number] for number, structure in found.items() if structure is None]


def _published() -> dict[str, Structure]:
    """Class names of all published schemes that mean one thing in all of them."""
    meanings: dict[str, set[Structure]] = {}
    for table in PUBLISHED:
        for number, name in table.names.items():
            key = "_".join(word for word in re.split(r"[\s_\-.,()]+", name.lower()) if word)
            meanings.setdefault(key, set()).add(table.structures[number])
    return {name: found.pop() for name, found in meanings.items() if len(found) == 1}
