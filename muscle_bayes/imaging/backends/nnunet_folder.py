"""What the folder of a trained nnU-Net v2 model says: its checkpoints, its channels and what its labels mean."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from muscle_bayes.errors import BackendError, BundleError, LabelSchemeError, MissingWeightsError
from muscle_bayes.imaging.backends.meaning import own_id
from muscle_bayes.imaging.label_schemes.class_words import structures_of_classes
from muscle_bayes.imaging.labels import Structure

CHECKPOINT = "checkpoint_final.pth"

#: What a channel may be, and the names under which data sets have it.
CHANNELS: Mapping[str, tuple[str, ...]] = {
    "water": ("water", "w"),
    "fat": ("fat", "f"),
    "in_phase": ("in", "ip", "in_phase", "inphase"),
    "opposed_phase": ("opp", "op", "oop", "opposed_phase", "out_of_phase", "opposed", "out_phase"),
    "fat_fraction": ("ff", "fat_fraction", "fat_signal_fraction", "pdff", "sfat"),
    "image": ("image", "mri", "mr", "t1", "t1w", "t2", "t2w"),
}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a model folder.

    Parameters
    ----------
    path : path
        dataset.json or plans.json.

    Returns
    -------
    dict

    Raises
    ------
    BundleError
        Where it is missing (`MissingWeightsError`) or no JSON object.
    """
    if not path.is_file():
        raise MissingWeightsError(
            str(path.parent),
            f"has no {path.name}, so it is no trained nnU-Net v2 model, and none is ever downloaded",
            "Give the folder that holds dataset.json, plans.json and fold_*, such as nnUNetTrainer__nnUNetPlans__3d_fullres",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(str(path), f"is not JSON ({error})", "Correct the file") from error
    if not isinstance(content, dict):
        raise BundleError(str(path), "is not a JSON object", "Correct the file")
    return content


def find_folds(folder: Path, wanted: Sequence[int | str] | None) -> tuple[str, ...]:
    """Find the folds that were trained to the end.

    Parameters
    ----------
    folder : path
        Of the model.
    wanted : sequence of int or str, optional
        Which to use; where left out those of the cross-validation, or the one trained on everything ("all").

    Returns
    -------
    tuple of str

    Raises
    ------
    MissingWeightsError
        Where there is none, or not those that are wanted.
    """
    there = [path.parent.name.removeprefix("fold_") for path in sorted(folder.glob(f"fold_*/{CHECKPOINT}"))]
    if not there:
        raise MissingWeightsError(
            str(folder),
            f"holds no fold_*/{CHECKPOINT}, and none is ever downloaded",
            "Train to the end, or copy it there",
        )
    if wanted is None:
        # One network trained on everything, or the cross-validation's networks together; not both.
        return tuple(fold for fold in there if fold != "all") or ("all",)
    missing = [str(fold) for fold in wanted if str(fold) not in there]
    if missing:
        raise MissingWeightsError(
            str(folder), f"has no fold {', '.join(missing)}", f"Choose from {', '.join(there)}, or leave folds= out"
        )
    return tuple(str(fold) for fold in wanted)


def input_channels(named: Any, wanted: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """Return what each input channel is.

    Parameters
    ----------
    named : mapping
        `channel_names` of dataset.json.
    wanted : sequence of str, optional
        What the user says they are.
    where : str
        For messages.

    Returns
    -------
    tuple of str
        Keys of `CHANNELS`. A single channel whose name says nothing is "image".

    Raises
    ------
    BackendError
        Where the names do not tell water from fat.
    """
    if not isinstance(named, Mapping) or not named:
        raise BundleError(where, "names no channels (channel_names)", "Take the dataset.json that nnU-Net trained with")
    names = [str(named[key]) for key in sorted(named, key=int)]
    if wanted is not None:
        strange = [name for name in wanted if name not in CHANNELS]
        if strange or len(wanted) != len(names):
            raise BackendError(
                where,
                f"{', '.join(strange) or len(wanted)} is not what its {len(names)} channels ({', '.join(names)}) can be",
                f"Give {len(names)} of {', '.join(CHANNELS)}",
            )
        return tuple(wanted)
    if len(names) == 1 and _channel(names[0]) is None:
        return ("image",)
    found = [_channel(name) for name in names]
    if None in found or len(set(found)) < len(found):
        raise BackendError(
            where,
            f"its channels are named {', '.join(names)}, which does not say what is water and what is fat",
            f"Give channels= (--channels), each one of {', '.join(CHANNELS)}",
        )
    return tuple(channel for channel in found if channel is not None)


def _channel(name: str) -> str | None:
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    return next((channel for channel, words in CHANNELS.items() if plain in words), None)


def label_meaning(dataset: Mapping[str, Any], where: str) -> dict[int, Structure]:
    """Return what the ids of dataset.json mean, by its names.

    Parameters
    ----------
    dataset : mapping
        dataset.json.
    where : str
        For messages.

    Returns
    -------
    dict
        id -> Structure.

    Raises
    ------
    LabelSchemeError
        Where a name does not say what it is, or a muscle has no side.
    """
    labels = dataset.get("labels")
    if not isinstance(labels, Mapping) or not labels:
        raise BundleError(where, "names no labels", "Take the dataset.json that nnU-Net trained with")
    if any(not isinstance(number, int) for number in labels.values()):
        raise LabelSchemeError(
            where,
            "its labels are regions made of several ids, so names and ids do not go together one by one",
            "Give scheme=: a table with the columns id, muscle, side for the ids that it writes",
        )
    names = {number: str(name) for name, number in labels.items() if number > 0 and name != "ignore"}
    meaning, unknown = structures_of_classes(names)
    if unknown:
        raise LabelSchemeError(
            where,
            f"its label names {', '.join(unknown)} do not say which structure they are",
            "Give scheme=: a table with the columns id, muscle, side (organs are unmeasured, what is to be left out background)",
        )
    without = [names[number] for number, structure in meaning.items() if own_id(structure) is None]
    if without:
        raise LabelSchemeError(
            where,
            f"its labels {', '.join(without)} have no side, and label maps here tell left from right",
            "Run nnU-Net by hand and measure its label maps: quantify(labels=, scheme=) takes muscles without a side",
        )
    if not any(structure.is_muscle for structure in meaning.values()):
        raise LabelSchemeError(where, f"none of its labels ({', '.join(names.values())}) is a muscle", "Give scheme=")
    return meaning
