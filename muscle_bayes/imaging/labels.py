"""The label scheme of muscle_bayes: which integer in a label map means which structure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Structure:
    """One structure of a label map.

    Attributes
    ----------
    name : str
        Tissue (one of `TISSUES`) or muscle, in the words of the measurement table.
    side : {"left", "right", "both"}
        The person's own side.
    is_muscle : bool
        Whether the structure counts as a muscle compartment.
    """

    name: str
    side: str = "both"
    is_muscle: bool = True


MUSCLES = ("autochthonous", "iliopsoas", "gluteals", "quadriceps", "adductors", "hamstrings", "sartorius")

#: What a label may be besides a muscle. `unmeasured` (an organ, a vessel) keeps its place, so that no fascia closes over it;
#: `background` (fat between muscles that a tool has labelled) is taken out of the label map, so that a fascia may take it in.
TISSUES = ("subcutaneous_fat", "bone", "unmeasured", "background")

#: id -> structure; 0 is background (viscera and air included).
SCHEME: Mapping[int, Structure] = MappingProxyType(
    {
        1: Structure("subcutaneous_fat", is_muscle=False),
        2: Structure("bone", is_muscle=False),
        **{
            3 + 2 * i + j: Structure(muscle, side)
            for i, muscle in enumerate(MUSCLES)
            for j, side in enumerate(("left", "right"))
        },
        17: Structure("other"),
    }
)


def label_id(name: str, side: str = "both") -> int:
    """Return the id of a structure.

    Parameters
    ----------
    name : str
        Name as in `SCHEME`.
    side : {"left", "right", "both"}
        The person's own side.

    Returns
    -------
    int
        Its integer in a label map.

    Raises
    ------
    KeyError
        Where the scheme has no such structure.
    """
    for number, structure in SCHEME.items():
        if (structure.name, structure.side) == (name, side):
            return number
    raise KeyError(f"no structure {name!r} with side {side!r}")
