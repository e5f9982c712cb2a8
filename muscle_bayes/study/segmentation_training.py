"""Train the segmentation network: on simulated bodies, or on the user's own images with labels."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.study.progress import Progress

if TYPE_CHECKING:
    from muscle_bayes.imaging.network.pairs import Pair
    from muscle_bayes.imaging.network.samples import SampleSource

#: A third of the simulated bodies are thighs.
SHARE_THIGH = 0.3
#: Real images are real already: their augmentation is milder, and their training starts slower.
PAIRS_STRENGTH = 0.6
FINE_TUNING_RATE = 5e-4
#: Phantoms on which volumes are matched after training: neither those of the training nor of the exam.
CALIBRATION_SEED, CALIBRATION = 800_001, ("trunk", "trunk", "trunk", "trunk", "trunk", "trunk", "thigh", "thigh")
#: A training that is only tried out is not worth calibrating.
LEAST_STEPS = 1000


@dataclass(frozen=True)
class Training:
    """A training that has ended.

    Attributes
    ----------
    bundle : path
        The bundle that was written.
    device : str
        Where it was computed.
    losses : list of float
        Mean loss over each hundredth of the steps.
    aside : list of str
        Participants that were set aside.
    dice : dict
        structure -> median Dice on them; empty for simulated images, which the exam judges.
    """

    bundle: Path
    device: str
    losses: list[float]
    aside: list[str]
    dice: dict[str, float]


def train(
    out: str | Path,
    *,
    pairs: str | Path | None = None,
    profile: str = "tiny",
    start: str | Path | None = None,
    aside: float = 0.2,
    scheme: str | None = None,
    steps: int | None = None,
    seed: int = 1,
    device: str | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Training:
    """Train a segmentation network and write it as a MONAI bundle.

    Parameters
    ----------
    out : path
        Folder of the bundle.
    pairs : path, optional
        Folder of images with labels, laid out as for `validate`; simulated bodies where left out.
    profile : {"tiny", "cpu", "gpu"}
        How much: minutes to see that it runs, about an hour on one core, or a graphics card's worth.
    start : path or "own", optional
        Bundle to go on from (fine-tuning), "own" for the project's; from scratch where left out.
    aside : float
        Share of participants of `pairs` that are set aside and judged on; all scans of a participant stay together.
    scheme : str, optional
        Label scheme of `pairs`, as `quantify` takes it.
    steps : int, optional
        Another number of steps than the profile's.
    seed : int
        Of everything random.
    device : str, optional
        "cpu", "cuda" or "mps"; the fastest that is there where left out.
    workers : int
        Processes that prepare images beside the training.
    progress : Progress, optional
        Told what happens.

    Returns
    -------
    Training

    Raises
    ------
    MissingDependencyError
        Where torch is not installed.
    TableError, ImageError, BundleError
        Where pairs or the bundle to start from cannot be used.
    """
    from muscle_bayes.imaging.network.devices import choose_device, device_words, require_torch

    require_torch("training")
    from muscle_bayes.imaging.network.architecture import dynamic_unet
    from muscle_bayes.imaging.network.bundle import read_bundle
    from muscle_bayes.imaging.network.bundle_writing import write_bundle
    from muscle_bayes.imaging.network.training import PROFILES, train_network

    if profile not in PROFILES:
        raise InvalidValueError("profile", f"{profile!r} is not known", f"Choose one of {', '.join(PROFILES)}")
    shown = progress or Progress()
    chosen, plan = choose_device(device), PROFILES[profile].shortened(steps)
    words = device_words(chosen)
    source, held, data_source = _source(pairs, plan.bodies, aside, scheme, seed, workers, shown)
    network, definition = None, dynamic_unet(plan.filters)
    if start is not None:
        begun = read_bundle(None if str(start) == "own" else start)
        network, definition = begun.networks(chosen)[0][0], begun.network_def
    if pairs is not None:
        plan = _for_pairs(plan, fine_tuning=start is not None)
    shown.start(f"Training on {words}", total=min(100, plan.steps))
    trained, log = train_network(
        source,
        plan,
        seed=seed,
        device=chosen,
        network=network,
        workers=workers,
        report=lambda step, loss, _: shown.advance(f"loss {loss:.3f}"),
    )
    shown.finish(f"{plan.steps:,} steps, loss {log.losses[-1]:.3f}")
    close_up = any(stage.close_up > 0 for stage in plan.stages)
    calibrated = pairs is None and plan.steps >= LEAST_STEPS
    shift = calibrate_on_phantoms(trained, progress=shown, close_up=close_up) if calibrated else None
    history: dict[str, Any] = {
        "profile": profile,
        "plan": asdict(plan),
        "seed": seed,
        "device": words,
        "simulated": pairs is None,
        "started_from": None if start is None else str(start),
        "steps": log.steps,
        "losses": log.losses,
        "bias_shift": None if shift is None else [round(float(value), 4) for value in shift],
        "set_aside": sorted({pair.participant_id for pair in held}),
    }
    name = Path(out).resolve().name
    root = write_bundle(
        out, trained, definition, name=name, data_source=data_source, history=history, close_up=close_up
    )
    result = _judged(root, held, device, scheme, shown)
    if result:
        history["dice_set_aside"] = result
        write_bundle(out, trained, definition, name=name, data_source=data_source, history=history, close_up=close_up)
    return Training(root, words, log.losses, history["set_aside"], result)


def phantom_source(bodies: int, seed: int = 1, workers: int = 0, progress: Progress | None = None) -> "SampleSource":
    """Paint simulated bodies to train on.

    Parameters
    ----------
    bodies : int
        How many; seeds run on from `seed`, far below those of the exam.
    seed : int
        Of the first body.
    workers : int
        Processes that paint; 0 paints here.
    progress : Progress, optional
        Told of each body.

    Returns
    -------
    SampleSource
    """
    from muscle_bayes.simulation.phantom_samples import PhantomSamples
    from muscle_bayes.simulation.phantom_stack import tissue_stack, training_seeds

    shown = progress or Progress()
    shown.start("Simulated bodies", total=bodies)
    stacks = []
    regions, seeds = zip(*training_seeds(bodies, SHARE_THIGH, seed), strict=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers else nullcontext() as pool:
        for stack in (pool.map if pool else map)(tissue_stack, regions, seeds):
            stacks.append(stack)
            shown.advance(stack.region)
    shown.finish(f"{bodies} bodies")
    return PhantomSamples(stacks)


def calibrate_on_phantoms(network: Any, progress: Progress | None = None, *, close_up: bool = False) -> Any:
    """Match a network's volumes on phantoms that are neither for training nor for the exam; changes it in place.

    Parameters
    ----------
    network : torch.nn.Module
        Trained, on the CPU.
    progress : Progress, optional
        Told of each phantom.
    close_up : bool
        Whether the network looks at the paraspinal muscles twice: then their InterMAT is matched as well.

    Returns
    -------
    (n_classes,) float64
        What was added to the biases of its output layer.
    """
    from muscle_bayes.imaging.network.calibration import match_fat, match_volumes
    from muscle_bayes.imaging.network.close_up import PARASPINAL
    from muscle_bayes.imaging.network.devices import choose_device
    from muscle_bayes.resources import data_folder
    from muscle_bayes.simulation import simulate_phantom
    from muscle_bayes.simulation.phantom_ranges import read_exam

    shown, exam = progress or Progress(), read_exam(data_folder("segmentation") / "exam.toml")
    shown.start("Volumes matched", total=len(CALIBRATION))
    scans = []
    for number, region in enumerate(CALIBRATION):
        seed = CALIBRATION_SEED + number
        # The exam's ranges, other seeds; every third slice, which is the network's distance to the neighbours.
        phantom = simulate_phantom(
            region, seed=seed, voxel_mm=(1.4, 1.4, 9.0), supersample=(2, 2, 1), **exam.ranges.draw(seed)
        )
        water, fat, labels = (
            np.moveaxis(np.asarray(image.dataobj), 2, 0) for image in (phantom.water, phantom.fat, phantom.labels)
        )
        scans.append((water.astype(np.float32), fat.astype(np.float32), labels))
        shown.advance(region)
    shift = match_volumes(network, scans, choose_device("cpu"))
    if close_up:
        stacked = [(np.moveaxis(w, 0, 2), np.moveaxis(f, 0, 2), np.moveaxis(ids, 0, 2)) for w, f, ids in scans]
        shift[list(PARASPINAL)] += match_fat(network, stacked, (1.4, 1.4, 9.0), choose_device("cpu"))
    shown.finish(f"{len(scans)} phantoms")
    return shift


class TrainingBatches:
    """Batches for the bundle's `train.json`: item i is {"image": ..., "label": ...}, always the same for a seed.

    Parameters
    ----------
    folder : str
        Folder of images with labels; simulated bodies where empty.
    bodies, batch, length, seed : int
        Simulated bodies, slices in a batch, batches in an epoch, seed.
    """

    def __init__(self, folder: str = "", bodies: int = 8, batch: int = 2, length: int = 100, seed: int = 1) -> None:
        from muscle_bayes.imaging.network.training import PROFILES

        self._profile = PROFILES["cpu"]
        self._length, self._seed, self._batch = length, seed, batch
        self._source = _pair_source(folder, None, seed, 0.0)[0] if folder else phantom_source(bodies)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        from dataclasses import replace

        from muscle_bayes.imaging.network.training import batches

        inputs, labels = next(batches(self._source, replace(self._profile, batch=self._batch), self._seed, index))
        return {"image": inputs, "label": labels[:, None].astype(np.int64)}


def _source(
    pairs: str | Path | None,
    bodies: int,
    aside: float,
    scheme: str | None,
    seed: int,
    workers: int,
    shown: Progress,
) -> "tuple[SampleSource, Sequence[Pair], str]":
    """Return where slices come from, the pairs that are set aside, and what the data are in words."""
    if pairs is None:
        words = f"simulated images only: {bodies} phantoms of muscle_bayes with random contrast and augmentation"
        return phantom_source(bodies, workers=workers, progress=shown), [], words
    source, training, held = _pair_source(pairs, scheme, seed, aside)
    people = len({pair.participant_id for pair in training})
    return (
        source,
        held,
        f"{len(training)} scans of {people} participants of the user's own, {len(held)} scans set aside",
    )


def _pair_source(
    folder: str | Path, scheme: str | None, seed: int, aside: float
) -> "tuple[SampleSource, list[Pair], list[Pair]]":
    from muscle_bayes.imaging.network.pairs import PairSamples, find_pairs, prepare_pair, split_by_participant

    found = find_pairs(folder)
    training, held = split_by_participant(found, aside, seed) if aside > 0 else (found, [])
    return PairSamples([prepare_pair(pair, scheme) for pair in training]), training, held


def _for_pairs(plan: Any, *, fine_tuning: bool) -> Any:
    from dataclasses import replace

    stages = tuple(
        replace(stage, learning_rate=FINE_TUNING_RATE if fine_tuning else stage.learning_rate, zoom=1.0)
        for stage in plan.stages
    )
    return replace(plan, strength=PAIRS_STRENGTH, stages=stages)


def _judged(
    bundle: Path, held: "Sequence[Pair]", device: str | None, scheme: str | None, shown: Progress
) -> dict[str, float]:
    """Median Dice of each structure over the participants that were set aside."""
    if not held:
        return {}
    from muscle_bayes.imaging.network.segmentation import Segmenter
    from muscle_bayes.imaging.network.validation import validate_pairs

    shown.start("Participants set aside", total=len(held))
    found = validate_pairs(Segmenter.load(bundle, device), held, scheme=scheme, progress=shown.advance)
    shown.finish(f"{len(held)} scan{'s' if len(held) > 1 else ''}")
    names = found.overlap["structure"].where(
        found.overlap["side"] == "both", found.overlap["structure"] + " " + found.overlap["side"]
    )
    medians = found.overlap.groupby(names, sort=False)["dice"].median().round(4)
    return {str(name): float(value) for name, value in medians.items()}
