"""What a network is trained on: a slice with its neighbours, and the labels of the slice in the middle."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """A slice to be learnt from.

    Attributes
    ----------
    first : (3, nx, ny) float32
        Water, or a single contrast: the slice below, the slice, the slice above. x to the right, y forwards.
    second : (3, nx, ny) float32 or None
        Fat; None for a single contrast.
    labels : (nx, ny) uint8
        Ids of `muscle_bayes.imaging.labels.SCHEME` in the slice.
    """

    first: Array
    second: Array | None
    labels: NDArray[np.uint8]


class SampleSource(Protocol):
    """Anything that gives samples: phantoms, or the user's own images with labels."""

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw a sample."""
