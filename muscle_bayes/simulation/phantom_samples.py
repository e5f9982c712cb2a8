"""Training samples from simulated bodies: a few slices, a random contrast, texture and other people's organs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from muscle_bayes.imaging.network.samples import Sample
from muscle_bayes.simulation import phantom_anatomy as an
from muscle_bayes.simulation.phantom_anatomy import Array, Codes, label_of_code
from muscle_bayes.simulation.phantom_contrast import random_signals
from muscle_bayes.simulation.phantom_grid import block_mean, majority_label
from muscle_bayes.simulation.phantom_stack import FINE, STREAK, TissueStack

#: Organs that may change into each other: a network must not need them.
_ORGANS = np.array(
    [an.LIVER, an.SPLEEN, an.KIDNEY, an.KIDNEY_MEDULLA, an.BOWEL_WALL, an.BOWEL_CONTENT, an.GAS, an.BLOOD]
)
#: Distance of the neighbouring slices, in painted slices.
CONTEXT_STEPS = (1, 2, 2, 3)


@dataclass(frozen=True)
class PhantomSamples:
    """Samples of simulated bodies, each with a contrast of its own.

    Attributes
    ----------
    stacks : sequence of TissueStack
        The bodies.
    """

    stacks: Sequence[TissueStack]

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw a slice of a body and make an image of it.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of everything random.

        Returns
        -------
        Sample
        """
        stack = self.stacks[int(rng.integers(len(self.stacks)))]
        codes = stack.codes
        middle, step = int(rng.integers(codes.shape[0])), int(rng.choice(CONTEXT_STEPS))
        planes = [int(np.clip(middle + offset * step, 0, codes.shape[0] - 1)) for offset in (-1, 0, 1)]
        if rng.random() < 0.15:  # the stack ends here: the neighbour is the slice itself
            planes[int(rng.choice([0, 2]))] = middle
        organs = _changed_organs(rng)
        tissue = [organs[codes[k]] for k in planes]
        first_of, second_of = random_signals(rng)
        shared = _textures(tissue[1].shape, rng)
        first = np.stack([_image(plane, first_of, shared[0]) for plane in tissue])
        second = None if second_of is None else np.stack([_image(plane, second_of, shared[1]) for plane in tissue])
        return Sample(first, second, _labels(codes[middle]))


def _changed_organs(rng: np.random.Generator) -> Codes:
    """Look-up table in which some organs have become others, and fat between organs may have become bowel."""
    table = np.arange(2 * STREAK, dtype=np.uint8)
    changed = rng.random(_ORGANS.size) < 0.5
    table[_ORGANS[changed]] = rng.permutation(_ORGANS[changed])
    return table


def _textures(shape: tuple[int, ...], rng: np.random.Generator) -> list[Array]:
    """Unevenness within tissues, one field for each contrast, on the fine grid at quarter resolution."""
    coarse = (-(-shape[0] // 4), -(-shape[1] // 4))
    fields = []
    for _ in range(2):
        width = float(rng.uniform(0.6, 4.0))
        field = gaussian_filter(rng.standard_normal(coarse, dtype=np.float32), width) * np.float32(3.5 * width)
        full = np.repeat(np.repeat(field, 4, axis=0), 4, axis=1)[: shape[0], : shape[1]]
        fields.append(np.clip(1 + np.float32(rng.uniform(0, 0.12)) * full, 0.3, 2.0).astype(np.float32))
    return fields


def _image(codes: Codes, signal: Array, texture: Array) -> Array:
    """Average the signals of fine pixels: (nx FINE, ny FINE) codes -> (nx, ny) signal."""
    return block_mean(signal[codes] * texture, (FINE, FINE))


def _labels(codes: Codes) -> NDArray[np.uint8]:
    label = label_of_code()[codes % STREAK]
    return majority_label(np.stack([label[i::FINE, j::FINE] for i in range(FINE) for j in range(FINE)]))
