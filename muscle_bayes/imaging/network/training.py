"""Train a network on samples: from scratch or from given weights, on a processor or a graphics card."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from muscle_bayes.imaging.network.architecture import build_network, dynamic_unet
from muscle_bayes.imaging.network.augmentation import augment, shape_for
from muscle_bayes.imaging.network.devices import require_torch
from muscle_bayes.imaging.network.preprocessing import body_frame, network_input
from muscle_bayes.imaging.network.samples import Array, SampleSource

if TYPE_CHECKING:
    import torch


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
    """

    steps: int
    zoom: float = 1.0
    learning_rate: float = 2e-3
    decay_over: int | None = None

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

    def zoom(self, step: int) -> float:
        """Return the size of bodies at a step of the whole, from 0."""
        for stage in self.stages:
            if step < stage.steps:
                return stage.zoom
            step -= stage.steps
        return 1.0

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
            stages=(Stage(3000, 0.65, 2e-3, decay_over=6000), Stage(1800, 1.0, 1.5e-3)),
        ),
        "gpu": TrainingProfile(
            (16, 32, 64, 96, 128, 160),
            bodies=240,
            batch=32,
            stages=(Stage(2500, 0.65), Stage(4500, 1.0, 1.5e-3)),
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
        rng = np.random.default_rng([seed, number])
        samples = [source.sample(rng) for _ in range(profile.batch)]
        size = profile.zoom(number)
        extents = size * np.array([s.labels.shape for s in samples], dtype=float)
        shape = shape_for(extents, rng, profile.largest)
        changed = [augment(s, shape, rng, profile.strength, size) for s in samples]
        yield (
            np.stack([network_input(s.first, s.second, body_frame(s.first, s.second)) for s in changed]),
            np.stack([s.labels for s in changed]),
        )
        number += 1


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
    from monai.losses import DiceCELoss

    torch.manual_seed(seed)
    if network is None:
        network = build_network(dynamic_unet(profile.filters))
    loss_of = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
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
            loss = loss_of(logits.float(), y)
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
