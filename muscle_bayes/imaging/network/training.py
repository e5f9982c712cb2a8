"""Train a network on samples: from scratch or from given weights, on a processor or a graphics card."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from muscle_bayes.imaging.labels import label_id
from muscle_bayes.imaging.network.architecture import build_network, dynamic_unet
from muscle_bayes.imaging.network.augmentation import augment, shape_for
from muscle_bayes.imaging.network.close_up import close_up, close_up_shape, shows_paraspinal
from muscle_bayes.imaging.network.devices import require_torch
from muscle_bayes.imaging.network.preprocessing import body_frame, network_input
from muscle_bayes.imaging.network.samples import Array, Sample, SampleSource

if TYPE_CHECKING:
    import torch

#: Pixels up to this far from another label are near a border.
BORDER_PX = 2
#: Strength of the augmentation in windows: the same warp would bend a small part of the body too sharply.
CLOSE_UP_STRENGTH = 0.7


@dataclass(frozen=True)
class Stage:
    """One stretch of training with a learning rate of its own.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    zoom : float
        Size of bodies: on few pixels a network learns what lies where, at 1 the borders.
    learning_rate : float
        Peak of a cosine schedule with a short warm-up.
    decay_over : int, optional
        Steps over which the cosine falls to its end; those of the stage where left out.
    border : float
        Weight of pixels near a border of labels in the cross-entropy, 1 elsewhere: InterMAT counts the fat that a border
        drawn too far outside lets in, so the last stages look there.
    close_up : float
        Share of batches that show windows around the paraspinal muscles (`close_up`) instead of whole slices.
    """

    steps: int
    zoom: float = 1.0
    learning_rate: float = 2e-3
    decay_over: int | None = None
    border: float = 1.0
    close_up: float = 0.0

    def rate(self, step: int) -> float:
        """Return the learning rate at a step, from 1."""
        progress, warm = step / (self.decay_over or self.steps), 0.04
        if progress < warm:
            return self.learning_rate * progress / warm
        share = 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))
        return self.learning_rate * (0.01 + 0.99 * share)


@dataclass(frozen=True)
class TrainingProfile:
    """How much is trained, and with what.

    Attributes
    ----------
    filters : tuple of int
        Channels of the network at each resolution.
    bodies : int
        Simulated bodies to draw slices from.
    batch : int
        Slices in each step.
    stages : tuple of Stage
        One after the other; each goes on from the averaged weights of the one before.
    averaging : float
        Decay of the running mean of the weights, which is what is kept.
    largest : (int, int)
        Most pixels of a slice.
    strength : float
        Of the augmentation.
    """

    filters: tuple[int, ...]
    bodies: int
    batch: int
    stages: tuple[Stage, ...]
    averaging: float = 0.998
    largest: tuple[int, int] = (320, 224)
    strength: float = 1.0

    @property
    def steps(self) -> int:
        """Steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> Stage:
        """Return the stage of a step of the whole, from 0; the last one goes on."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]

    def shortened(self, steps: int | None) -> "TrainingProfile":
        """Return the profile with about this many steps, shared among its stages as before."""
        if steps is None:
            return self
        factor = steps / self.steps
        stages = [
            replace(
                stage,
                steps=max(1, round(stage.steps * factor)),
                decay_over=None if stage.decay_over is None else max(1, round(stage.decay_over * factor)),
            )
            for stage in self.stages
        ]
        return replace(self, stages=tuple(stages))


#: `tiny`: minutes, to see that it runs; `cpu`: about an hour on one core, what the weights in `segmentation/` were trained
#: with; `gpu`: the real thing, on a card.
PROFILES: Mapping[str, TrainingProfile] = MappingProxyType(
    {
        "tiny": TrainingProfile((8, 16, 32, 64), bodies=8, batch=2, stages=(Stage(300, 0.5),), averaging=0.98),
        "cpu": TrainingProfile(
            (8, 16, 32, 64, 96, 128),
            bodies=60,
            batch=2,
            stages=(
                Stage(3000, 0.65, 2e-3, decay_over=6000),
                Stage(1800, 1.0, 1.5e-3),
                Stage(980, 1.0, 1.5e-3, decay_over=3500, border=4.0),
                Stage(3500, 1.0, 1.5e-3, border=4.0, close_up=0.75),
            ),
        ),
        "gpu": TrainingProfile(
            (16, 32, 64, 96, 128, 160),
            bodies=240,
            batch=32,
            stages=(Stage(2500, 0.65), Stage(4500, 1.0, 1.5e-3, border=4.0, close_up=0.5)),
            averaging=0.999,
            largest=(384, 288),
        ),
    }
)


@dataclass
class TrainingLog:
    """What happened while training: mean loss over each hundredth of the steps."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def batches(source: SampleSource, profile: TrainingProfile, seed: int, start: int = 0) -> Iterator[tuple[Array, Any]]:
    """Yield batches without end; batch i depends on seed and i only.

    Parameters
    ----------
    source : SampleSource
        Where slices come from.
    profile : TrainingProfile
        Batch size, largest slice, strength of augmentation.
    seed, start : int
        Seed, and the first batch.

    Yields
    ------
    inputs : (batch, CHANNELS, nx, ny) float32
    labels : (batch, nx, ny) uint8
    """
    number = start
    while True:
        rng, stage = np.random.default_rng([seed, number]), profile.stage(number)
        # No draw where there is nothing to decide: a stage of whole slices stays what it was.
        closer = stage.close_up > 0 and rng.random() < stage.close_up
        changed = _windows(source, profile, rng) if closer else None
        if changed is None:
            samples = [source.sample(rng) for _ in range(profile.batch)]
            extents = stage.zoom * np.array([s.labels.shape for s in samples], dtype=float)
            shape = shape_for(extents, rng, profile.largest)
            changed = [augment(s, shape, rng, profile.strength, stage.zoom) for s in samples]
        yield (
            np.stack([network_input(s.first, s.second, body_frame(s.first, s.second)) for s in changed]),
            np.stack([s.labels for s in changed]),
        )
        number += 1


def _windows(source: SampleSource, profile: TrainingProfile, rng: np.random.Generator) -> list[Sample] | None:
    """Windows around the paraspinal muscles, twice as many as whole slices; None where the source shows hardly any."""
    samples: list[Sample] = []
    for _ in range(20 * profile.batch):
        sample = source.sample(rng)
        if shows_paraspinal(sample.labels):
            samples.append(sample)
        if len(samples) == 2 * profile.batch:
            shape = close_up_shape(samples, rng)
            strength = CLOSE_UP_STRENGTH * profile.strength
            return [augment(close_up(s, shape, rng), shape, rng, strength) for s in samples]
    return None


def train_network(
    source: SampleSource,
    profile: TrainingProfile,
    *,
    seed: int,
    device: "torch.device",
    network: "torch.nn.Module | None" = None,
    workers: int = 0,
    report: Callable[[int, float, "torch.nn.Module"], None] | None = None,
    start: int = 0,
) -> tuple["torch.nn.Module", TrainingLog]:
    """Train.

    Parameters
    ----------
    source : SampleSource
        Where slices come from.
    profile : TrainingProfile
        How much.
    seed : int
        Of weights, samples and augmentation.
    device : torch.device
        Where to compute.
    network : torch.nn.Module, optional
        Weights to go on from; a new network where left out.
    workers : int
        Processes that make samples; 0 makes them in between.
    report : callable, optional
        Called with step, loss and averaged network every hundredth of the steps.
    start : int
        First batch, for a training that goes on.

    Returns
    -------
    network : torch.nn.Module
        The running mean of the weights, on the CPU.
    log : TrainingLog
    """
    torch = require_torch("training")
    from monai.losses import DiceLoss

    torch.manual_seed(seed)
    if network is None:
        network = build_network(dynamic_unet(profile.filters))
    overlap = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    layout = torch.channels_last
    log, recent = TrainingLog(), []
    every = max(profile.steps // 100, 1)
    loaded = _loaded(source, profile, seed, start, workers)
    average, done = network.to(device).to(memory_format=layout), 0
    for stage in profile.stages:
        network, step = copy.deepcopy(average).train(), 0
        optimiser = torch.optim.AdamW(network.parameters(), lr=stage.learning_rate, weight_decay=1e-4)
        while step < stage.steps:
            inputs, labels = next(loaded)
            step, done = step + 1, done + 1
            for group in optimiser.param_groups:
                group["lr"] = stage.rate(step)
            x = torch.as_tensor(inputs).to(device, memory_format=layout, non_blocking=True)
            y = torch.as_tensor(labels).to(device, non_blocking=True)[:, None]
            optimiser.zero_grad(set_to_none=True)
            # bfloat16 in the network only; the loss sums many small numbers and stays in single precision.
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type != "mps"):
                logits = network(x)
            loss = overlap(logits.float(), y) + cross_entropy(logits.float(), y, stage.border)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 3.0)
            optimiser.step()
            _average(average, network, min(profile.averaging, step / (step + 10)))
            recent.append(loss.detach())
            if done % every == 0 or done == profile.steps:
                mean = float(torch.stack(recent).mean())
                recent.clear()
                log.steps.append(done)
                log.losses.append(mean)
                if report is not None:
                    report(done, mean, average)
    return average.to("cpu").eval(), log


def cross_entropy(logits: "torch.Tensor", labels: "torch.Tensor", border: float) -> Any:
    """Return the mean cross-entropy, in which pixels near a border count more.

    Parameters
    ----------
    logits : (batch, n_classes, nx, ny) float32
        Of the network.
    labels : (batch, 1, nx, ny)
        Classes.
    border : float
        Weight of pixels within `BORDER_PX` of another label; twice this where one of them is the paraspinal muscle. Both sides
        of a border weigh alike, which moves it neither outwards nor inwards.

    Returns
    -------
    () float32 tensor
    """
    torch = require_torch()
    each = torch.nn.functional.cross_entropy(logits, labels[:, 0].long(), reduction="none")
    if border == 1.0:
        return each.mean()
    weight = torch.ones_like(each)
    paraspinal = (labels == label_id("autochthonous", "left")) | (labels == label_id("autochthonous", "right"))
    for structures, added in ((labels, border - 1), (labels * paraspinal, border)):
        highest, lowest = (
            torch.nn.functional.max_pool2d(sign * structures.float(), 2 * BORDER_PX + 1, 1, BORDER_PX)[:, 0]
            for sign in (1, -1)
        )
        weight += added * (highest != -lowest)
    return (each * weight).sum() / weight.sum()


def _average(average: "torch.nn.Module", network: "torch.nn.Module", decay: float) -> None:
    torch = require_torch()
    with torch.no_grad():
        for mean, value in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def _loaded(
    source: SampleSource, profile: TrainingProfile, seed: int, start: int, workers: int
) -> Iterator[tuple[Any, Any]]:
    """Batches in order, made by other processes where there are any."""
    if workers == 0:
        return batches(source, profile, seed, start)
    from muscle_bayes.imaging.network.loading import batches_from_workers

    return batches_from_workers(source, profile, seed, start, workers)
