"""The user's own images with labels: found in a folder, split by participant, drawn from for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscle_bayes.errors import ImageError, TableError
from muscle_bayes.imaging.images import read_volume, require_same_grid
from muscle_bayes.imaging.label_schemes import read_label_map
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.devices import require_torch
from muscle_bayes.imaging.network.preprocessing import CONTEXT_MM
from muscle_bayes.imaging.network.samples import Array, Sample

#: Files of a scan, by role; those of a pair stand in one folder, or in the columns of pairs.tsv.
ROLES = ("water", "fat", "image")
TABLE = "pairs.tsv"
_OWN_IDS = {(s.name, s.side): number for number, s in SCHEME.items()}


@dataclass(frozen=True)
class Pair:
    """One scan and its reference labels.

    Attributes
    ----------
    participant_id, session_id : str
        Whose it is.
    images : dict
        role -> path: water and fat, or image.
    labels : path
        Label map of any scheme that `quantify` reads.
    """

    participant_id: str
    session_id: str
    images: dict[str, Path]
    labels: Path

    @property
    def name(self) -> str:
        """Participant and session, for messages."""
        return f"{self.participant_id}/{self.session_id}" if self.session_id else self.participant_id


def find_pairs(folder: str | Path) -> list[Pair]:
    """Find scans with labels.

    Parameters
    ----------
    folder : path
        With `pairs.tsv` (participant_id, labels, and water and fat or image; session_id where there are several; paths
        relative to the folder), or with one folder for each participant, or participant/session, that holds
        `water.nii.gz` and `fat.nii.gz`, or `image.nii.gz`, and `labels.nii.gz`.

    Returns
    -------
    list of Pair
        Sorted by participant and session.

    Raises
    ------
    TableError
        Where nothing is found, or a row of the table lacks a file.
    """
    folder = Path(folder)
    table = folder / TABLE
    pairs = _from_table(table) if table.is_file() else _from_folders(folder)
    if not pairs:
        raise TableError(
            str(folder),
            "holds no pair of images and labels",
            f"Put water, fat (or image) and labels (.nii.gz) of each participant into a folder of theirs, or write {TABLE}",
        )
    return sorted(pairs, key=lambda pair: (pair.participant_id, pair.session_id))


def split_by_participant(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Set participants aside, all sessions of a participant on one side.

    Parameters
    ----------
    pairs : sequence of Pair
        All pairs.
    share : float
        Share of participants that are set aside; at least one, and at least one stays.
    seed : int
        Draws them.

    Returns
    -------
    training, aside : list of Pair

    Raises
    ------
    TableError
        Where there are fewer than two participants.
    """
    people = sorted({pair.participant_id for pair in pairs})
    if len(people) < 2:
        raise TableError(
            "pairs",
            "there is only one participant, and none can be set aside to judge on",
            "Give two or more participants",
        )
    count = int(np.clip(round(share * len(people)), 1, len(people) - 1))
    aside = set(np.random.default_rng(seed).permutation(people)[:count].tolist())
    return [p for p in pairs if p.participant_id not in aside], [p for p in pairs if p.participant_id in aside]


@dataclass(frozen=True)
class PreparedPair:
    """A pair on the network's pixels, slices first.

    Attributes
    ----------
    first, second : (nz, nx, ny) float32
        Water and fat, or image and None.
    labels : (nz, nx, ny) uint8
        Ids of `SCHEME`.
    step : int
        Slices to the neighbour that the network sees.
    """

    first: Array
    second: Array | None
    labels: NDArray[np.uint8]
    step: int


def prepare_pair(pair: Pair, scheme: str | None = None) -> PreparedPair:
    """Read a pair for training.

    Parameters
    ----------
    pair : Pair
        Where its files are.
    scheme : str, optional
        Label scheme, as `quantify` takes it.

    Returns
    -------
    PreparedPair

    Raises
    ------
    ImageError
        Where images cannot be read or the labels lie on another grid.
    """
    torch = require_torch()
    from muscle_bayes.imaging.network.signals import to_pixels

    volumes = [read_volume(pair.images[role], role) for role in ROLES if role in pair.images]
    labels = read_label_map(pair.labels, scheme)
    for volume in (*volumes[1:], labels.volume):
        require_same_grid(volumes[0], volume)
    ids = own_ids(labels.volume.data, {k: (s.name, s.side) for k, s in labels.structures.items()}, pair.name)
    spacing = volumes[0].spacing
    stacks = [
        to_pixels(torch.from_numpy(np.moveaxis(v.data, 2, 0).astype(np.float32)), spacing[:2]).numpy() for v in volumes
    ]
    index = [_nearest(n, m) for n, m in zip(ids.shape[:2], stacks[0].shape[1:], strict=True)]
    resized = np.moveaxis(ids[np.ix_(*index, np.arange(ids.shape[2]))], 2, 0)
    second = stacks[1] if len(stacks) > 1 else None
    return PreparedPair(stacks[0], second, np.ascontiguousarray(resized), max(1, round(CONTEXT_MM / spacing[2])))


def own_ids(labels: NDArray[np.int32], meaning: dict[int, tuple[str, str]], where: str) -> NDArray[np.uint8]:
    """Give a label map the ids of this project; structures that it does not know become background.

    Parameters
    ----------
    labels : (nx, ny, nz) int32
        Ids of any scheme.
    meaning : dict
        id -> (muscle or tissue, side).
    where : str
        For the message.

    Returns
    -------
    (nx, ny, nz) uint8

    Raises
    ------
    ImageError
        Where no structure is one of this project's.
    """
    table = np.zeros(max(int(labels.max()), *meaning) + 1, dtype=np.uint8)
    for number, key in meaning.items():
        table[number] = _OWN_IDS.get(key, 0)
    if not table.any():
        raise ImageError(where, "none of its labels is one that the network learns", "Give a scheme that names muscles")
    return table[labels]


@dataclass(frozen=True)
class PairSamples:
    """Slices of the user's own scans.

    Attributes
    ----------
    pairs : sequence of PreparedPair
        Scans.
    """

    pairs: Sequence[PreparedPair]

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw a slice; slices with labels twice as often as others.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        Sample
        """
        pair = self.pairs[int(rng.integers(len(self.pairs)))]
        weight = 1.0 + pair.labels.any(axis=(1, 2))
        middle = int(rng.choice(weight.size, p=weight / weight.sum()))
        last = weight.size - 1
        planes = [max(middle - pair.step, 0), middle, min(middle + pair.step, last)]
        return Sample(pair.first[planes], None if pair.second is None else pair.second[planes], pair.labels[middle])


def _nearest(old: int, new: int) -> NDArray[np.int64]:
    return np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)


def _from_table(path: Path) -> list[Pair]:
    table = pd.read_csv(path, sep="\t", dtype=str).fillna("")
    missing = {"participant_id", "labels"} - set(table.columns)
    if missing:
        raise TableError(str(path), f"has no column {', '.join(sorted(missing))}", "Add it")
    pairs = []
    for row in table.to_dict("records"):
        images = {role: path.parent / row[role] for role in ROLES if row.get(role)}
        pairs.append(_checked(row["participant_id"], row.get("session_id", ""), images, path.parent / row["labels"]))
    return pairs


def _from_folders(folder: Path) -> list[Pair]:
    pairs = []
    for labels in sorted([*folder.glob("*/labels.nii.gz"), *folder.glob("*/*/labels.nii.gz")]):
        home = labels.parent
        images = {role: home / f"{role}.nii.gz" for role in ROLES if (home / f"{role}.nii.gz").is_file()}
        if {"water", "fat"} <= set(images):
            images.pop("image", None)
        person, *session = home.relative_to(folder).parts
        pairs.append(_checked(person, session[0] if session else "", images, labels))
    return pairs


def _checked(participant: str, session: str, images: dict[str, Path], labels: Path) -> Pair:
    name = f"{participant}/{session}" if session else participant
    if set(images) not in ({"water", "fat"}, {"image"}):
        raise TableError(
            name, f"has {', '.join(images) or 'no image'}", "Give water and fat, or image, for every participant"
        )
    for path in (*images.values(), labels):
        if not path.exists():
            raise TableError(name, f"there is no file {path}", "Correct the path")
    return Pair(participant, session, images, labels)
