"""From the images of a scan to a label map, slice by slice, on the images' own grid."""

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from muscle_bayes.errors import DeviceMemoryError
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.devices import require_torch
from muscle_bayes.imaging.network.probabilities import mean_probabilities, most_probable
from muscle_bayes.imaging.network.samples import Array

if TYPE_CHECKING:
    import torch

    from muscle_bayes.imaging.network.signals import Signals

#: Islands of a structure below this share of it are dropped.
_ISLAND_SHARE = 0.05
#: Windows at a time, where nothing else is said: a processor's cache holds few, a card wants many.
BATCH = {"cpu": 4, "cuda": 32, "mps": 8}
#: Number types of the network; everything around it is single precision.
PRECISIONS = ("fp32", "bf16")


@dataclass
class Computation:
    """How a scan was computed, for its sidecar.

    Attributes
    ----------
    precision : {"fp32", "bf16"}
        Number type of the network.
    batch : int
        Windows at a time in the end.
    held_on : str
        Device that held the scan and the labels in the end.
    out_of_memory : list of str
        What was done each time the device's memory ran out.
    seconds : dict of float
        To bring the scan to the device and the labels back (transfer), to normalise it, for the windows, and for what follows in
        three dimensions (islands).
    """

    precision: str
    batch: int
    held_on: str
    out_of_memory: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def predict_labels(
    networks: "list[torch.nn.Module]",
    first: Array,
    second: Array | None,
    spacing: tuple[float, float, float],
    device: "torch.device",
    *,
    mirror: bool = True,
    batch: int | None = None,
    precision: str = "fp32",
    close_up: bool = False,
    record: dict[str, Any] | None = None,
) -> NDArray[np.uint8]:
    """Label a scan.

    Parameters
    ----------
    networks : list of torch.nn.Module
        One network, or an ensemble whose probabilities are averaged; on `device`, in evaluation mode.
    first, second : (nx, ny, nz) float32
        Water and fat, or a single contrast and None; axes run to the right, front and head.
    spacing : (3,) tuple of float
        Voxel size, mm.
    device : torch.device
        Where to compute.
    mirror : bool
        Whether the mirrored image is predicted as well, and both are averaged.
    batch : int, optional
        Windows at a time; `BATCH` of the device where left out.
    precision : {"fp32", "bf16"}
        Number type of the network; `precision.checked_precision` says whether half the bits give the same labels.
    close_up : bool
        Whether the paraspinal muscles are labelled a second time in a window around them (`close_up.look_closer`): for
        networks that were trained on such windows, which their bundle's metadata says.
    record : dict, optional
        Takes down how the scan was computed (`Computation`): number type, batch, and what was done where memory ran out.

    Returns
    -------
    (nx, ny, nz) uint8
        Ids of `muscle_bayes.imaging.labels.SCHEME`.

    Raises
    ------
    DeviceMemoryError
        Where not even one window fits on the device.
    """
    labels, done = slice_labels(
        networks, first, second, spacing, device, mirror=mirror, batch=batch, precision=precision
    )
    began = time.perf_counter()
    labels = without_islands(labels)
    if close_up:
        from muscle_bayes.imaging.network.close_up import look_closer

        labels = look_closer(networks, first, second, labels, spacing, device, mirror=mirror, precision=precision)
    done.seconds["islands"] = round(time.perf_counter() - began, 4)
    if record is not None:
        record.update(asdict(done))
    return labels


def slice_labels(
    networks: "list[torch.nn.Module]",
    first: Array,
    second: Array | None,
    spacing: tuple[float, float, float],
    device: "torch.device",
    *,
    mirror: bool = True,
    batch: int | None = None,
    precision: str = "fp32",
) -> tuple[NDArray[np.uint8], Computation]:
    """Label a scan and leave islands in: the part that the device does.

    The scan stays on the device from normalisation to the most probable class. Where its memory runs out, batches are
    halved; where a single window is too much beside the scan, the scan is held in main memory.

    Parameters
    ----------
    networks, first, second, spacing, device, mirror, batch, precision
        As in `predict_labels`.

    Returns
    -------
    labels : (nx, ny, nz) uint8
        In Fortran order, as images are stored.
    computation : Computation
        How they came about.

    Raises
    ------
    DeviceMemoryError
        As in `predict_labels`.
    """
    torch = require_torch()
    scan = [None if image is None else _slices(image) for image in (first, second)]
    done = Computation(precision, batch or BATCH.get(device.type, 4), str(device))
    held, signals, found, k = device, None, None, 0
    began = time.perf_counter()
    nz = first.shape[2]
    with torch.inference_mode():
        while k < nz or found is None:
            try:
                if signals is None or found is None:
                    signals, found = _start(scan, spacing, held, done)
                    done.seconds["prepare"] = round(time.perf_counter() - began - done.seconds["transfer"], 4)
                    k = 0
                    continue
                k = _next_batch(networks, signals, found, k, done, device, mirror)
                continue
            except torch.OutOfMemoryError as error:
                reason = " ".join(str(error).split())[:120]
            # Outside the handler, where the failed attempt's tensors are gone.
            if signals is not None and done.batch > 1:
                done.batch //= 2
                done.out_of_memory.append(f"slice {k}: batches halved to {done.batch}")
            elif held.type != "cpu":
                held, signals, found = torch.device("cpu"), None, None
                done.held_on = "cpu"
                done.out_of_memory.append(f"slice {k}: the scan was moved to main memory")
            else:
                raise DeviceMemoryError(
                    str(device), f"its memory does not hold a single window ({reason})", "Use another device"
                )
            if device.type == "cuda":
                torch.cuda.empty_cache()
    _wait_for(found.device)
    done.seconds["windows"] = round(time.perf_counter() - began - sum(done.seconds.values()), 4)
    back = time.perf_counter()
    labels: NDArray[np.uint8] = found.cpu().numpy().transpose(2, 1, 0)
    done.seconds["transfer"] = round(done.seconds["transfer"] + time.perf_counter() - back, 4)
    return labels, done


def _wait_for(device: "torch.device") -> None:
    """Wait until a card has done what this thread gave it, so that seconds are counted where they are spent."""
    if device.type == "cuda":
        require_torch().cuda.current_stream(device).synchronize()


def _slices(image: Array) -> "torch.Tensor":
    """Slices of an image as a tensor (nz, nx, ny), without a copy where its memory allows."""
    torch = require_torch()
    values = np.moveaxis(np.asarray(image, dtype=np.float32), 2, 0)
    if not values.flags.writeable or any(stride < 0 for stride in values.strides):
        values = values.copy(order="K") if values.size else values
    return torch.from_numpy(values)


def _start(
    scan: "list[torch.Tensor | None]", spacing: tuple[float, float, float], held: "torch.device", done: Computation
) -> "tuple[Signals, torch.Tensor]":
    """Put a scan on a device; signals and an empty label map (nz, ny, nx) there."""
    torch = require_torch()
    from muscle_bayes.imaging.network.signals import prepared

    began = time.perf_counter()
    tensors = [None if part is None else _moved(part, held) for part in scan]
    _wait_for(held)
    done.seconds["transfer"] = round(time.perf_counter() - began, 4)
    first, second = tensors
    assert first is not None
    nz, nx, ny = first.shape
    return prepared(first, second, spacing), torch.zeros((nz, ny, nx), dtype=torch.uint8, device=held)


def _moved(part: "torch.Tensor", held: "torch.device") -> "torch.Tensor":
    """Move a tensor to a device; from pinned memory other work goes on meanwhile."""
    if held.type == "cpu":
        return part
    if held.type == "cuda" and not part.is_pinned():
        # Pinning keeps the order of memory only of contiguous tensors; slices of an image are contiguous when transposed.
        return part.transpose(1, 2).contiguous().pin_memory().to(held, non_blocking=True).transpose(1, 2)
    return part.to(held, non_blocking=True)


def _next_batch(
    networks: "list[torch.nn.Module]",
    signals: "Signals",
    found: "torch.Tensor",
    k: int,
    done: Computation,
    device: "torch.device",
    mirror: bool,
) -> int:
    """Label the next slices that show the body; return the first slice after them."""
    torch = require_torch()
    chosen = k + np.flatnonzero(signals.shown[k:])[: done.batch]
    if chosen.size == 0:
        return len(signals.shown)
    windows = signals.windows(chosen.tolist(), device)
    probabilities = mean_probabilities(networks, windows, mirror=mirror, precision=done.precision)
    shape = (found.shape[2], found.shape[1])
    planes = _to_grid(probabilities, signals, shape).to(found.device, non_blocking=True)
    x, y = signals.box if signals.inner == shape else (slice(None), slice(None))
    found[torch.as_tensor(chosen, device=found.device), y, x] = planes.transpose(1, 2)
    return int(chosen[-1]) + 1


def without_islands(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Drop islands of the muscles on the trunk's back and of bone: parts below 5 % of their structure, in 3-D.

    Parameters
    ----------
    labels : (nx, ny, nz) uint8
        Ids of the scheme.

    Returns
    -------
    (nx, ny, nz) uint8
        Voxels of dropped islands are background.
    """
    out = labels.copy(order="K")
    # Along the order of memory, and only where a structure lies: a whole scan is mostly something else.
    view = out.T if out.flags.f_contiguous else out
    for number, box in enumerate(find_objects(view), start=1):
        structure = SCHEME.get(number)
        if box is None or structure is None or not structure.is_muscle or structure.name == "other":
            continue
        inside = view[box]
        parts, count = label(inside == number)
        if count == 1:
            continue
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        small = sizes < _ISLAND_SHARE * sizes.sum()
        small[0] = False
        if small.any():
            inside[small[parts]] = 0
    return out


def _to_grid(probabilities: "torch.Tensor", signals: "Signals", shape: tuple[int, int]) -> "torch.Tensor":
    """Most probable classes: in the body's box on the network's own pixels, else of whole slices on the image's grid."""
    from muscle_bayes.imaging.network.signals import resampled

    bx, by = signals.first.shape[1:]
    probabilities = probabilities[:, :, :bx, :by]
    if signals.inner != shape:
        whole = probabilities.new_zeros((*probabilities.shape[:2], *signals.inner))
        whole[:, 0] = 1
        whole[:, :, signals.box[0], signals.box[1]] = probabilities
        for axis in (2, 3):
            whole = resampled(whole, axis, shape[axis - 2])
        probabilities = whole
    return most_probable(probabilities)
