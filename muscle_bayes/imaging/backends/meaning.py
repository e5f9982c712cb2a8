"""From the ids of another tool to those of this project."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.errors import LabelSchemeError
from muscle_bayes.imaging.labels import SCHEME, Structure

_OWN_IDS = {(structure.name, structure.side): number for number, structure in SCHEME.items()}


def own_id(structure: Structure) -> int | None:
    """Return the id that a structure has here.

    Parameters
    ----------
    structure : Structure
        Of any scheme.

    Returns
    -------
    int or None
        0 for what is background here (organs and fat between muscles among it); None for a muscle that has a left and a right id
        here and comes without a side.
    """
    if structure.name in ("subcutaneous_fat", "bone", "other"):  # one id here, whatever the side
        return _OWN_IDS[structure.name, "both"]
    if not structure.is_muscle:
        return 0
    return _OWN_IDS.get((structure.name, structure.side))


def to_own_ids(labels: NDArray[np.int32], meaning: Mapping[int, Structure], where: str) -> NDArray[np.uint8]:
    """Give a label map the ids of this project.

    Parameters
    ----------
    labels : (nx, ny, nz) int32
        Ids of another tool.
    meaning : mapping
        id -> Structure, for every id that occurs.
    where : str
        For messages.

    Returns
    -------
    (nx, ny, nz) uint8
        Ids of `muscle_bayes.imaging.SCHEME`; what is neither muscle, bone nor subcutaneous fat is 0.

    Raises
    ------
    LabelSchemeError
        Where an id has no meaning, or a muscle has no side.
    """
    present = np.unique(labels.T).tolist()
    unknown = [number for number in present if number and number not in meaning]
    if unknown:
        raise LabelSchemeError(
            where=where,
            problem=f"the tool wrote the ids {', '.join(map(str, unknown))}, which nothing gives a meaning",
            remedy="Give scheme=: a table with the columns id, muscle, side",
        )
    table = np.zeros(max([0, *present]) + 1, dtype=np.uint8)
    for number in present:
        if number:
            own = own_id(meaning[number])
            if own is None:
                raise LabelSchemeError(
                    where=where,
                    problem=f"id {number} is {meaning[number].name} without a side, and label maps here tell left from right",
                    remedy="Measure the tool's own label map: quantify(labels=, scheme=) takes muscles without a side",
                )
            table[number] = own
    return table[labels]
