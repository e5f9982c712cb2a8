"""Settings of many phantoms, drawn from stated ranges: for the exam of a network, and for its training."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from muscle_bayes.errors import InvalidValueError


@dataclass(frozen=True)
class PhantomRanges:
    """Between which limits the settings of phantoms lie.

    Attributes
    ----------
    ranges : mapping
        Setting of `simulate_phantom` -> (low, high), drawn uniformly.
    choices : mapping
        Setting -> values, drawn evenly.
    """

    ranges: Mapping[str, tuple[float, float]]
    choices: Mapping[str, Sequence[Any]]

    def draw(self, seed: int) -> dict[str, Any]:
        """Return the settings that belong to a seed; the same seed gives the same settings."""
        rng = np.random.default_rng([seed, 20_261])  # not the stream that makes the anatomy of this seed
        drawn: dict[str, Any] = {name: float(rng.uniform(*limits)) for name, limits in self.ranges.items()}
        for name, values in self.choices.items():
            drawn[name] = values[int(rng.integers(len(values)))]
        return drawn


@dataclass(frozen=True)
class Exam:
    """The simulated scans that a network is judged on.

    Attributes
    ----------
    first_seed : int
        The lowest seed; training stays below it.
    scans : mapping
        region -> number of scans; seeds run on from `first_seed` in this order.
    voxel_mm : (3,) tuple of float
        Grid.
    least_cm3 : float
        Volume from which a label of a scan is judged.
    ranges : PhantomRanges
        What the scans differ in.
    floors : mapping
        What has to be reached.
    """

    first_seed: int
    scans: Mapping[str, int]
    voxel_mm: tuple[float, float, float]
    least_cm3: float
    ranges: PhantomRanges
    floors: Mapping[str, Mapping[str, Any]]

    def settings(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield every seed with the keywords of `simulate_phantom` for it."""
        seed = self.first_seed
        for region, count in self.scans.items():
            for _ in range(count):
                yield seed, {"region": region, "seed": seed, "voxel_mm": self.voxel_mm, **self.ranges.draw(seed)}
                seed += 1


def read_exam(path: str | Path) -> Exam:
    """Read an exam file.

    Parameters
    ----------
    path : path
        TOML, as `segmentation/exam.toml`.

    Returns
    -------
    Exam

    Raises
    ------
    InvalidValueError
        Where the file lacks a part.
    """
    content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    try:
        x, y, z = content["voxel_mm"]
        return Exam(
            first_seed=int(content["first_seed"]),
            scans=content["scans"],
            voxel_mm=(float(x), float(y), float(z)),
            least_cm3=float(content["least_cm3"]),
            ranges=PhantomRanges(
                {name: (float(low), float(high)) for name, (low, high) in content["ranges"].items()}, content["choices"]
            ),
            floors=content["floors"],
        )
    except KeyError as error:
        raise InvalidValueError(
            str(path), f"the exam lacks {error.args[0]!r}", "Take segmentation/exam.toml as the example"
        ) from error
