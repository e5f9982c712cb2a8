"""The tensors of a whole scan are those that `preprocessing` makes of single slices, and resampling is SciPy's."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d, zoom

from muscle_bayes.imaging.fat_fraction import in_body_median, sampling_step
from muscle_bayes.imaging.network.preprocessing import body_frame, network_input
from muscle_bayes.imaging.network.signals import body_of, padded, prepared, resampled, to_pixels

CPU = torch.device("cpu")
SPACING = (1.4, 1.4, 3.0)


def scan(shape: tuple[int, int, int] = (70, 50, 11), seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Water and fat of an elliptic body in noise, in the order in which images lie in memory."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(*(np.linspace(-1.2, 1.2, n) for n in shape[:2]), indexing="ij")
    body = (np.hypot(x / 0.8, y / 0.7) < 1)[:, :, None]
    parts = [np.where(body, level, 0) + rng.normal(0, 8, shape) for level in (300.0, 90.0)]
    return tuple(np.asfortranarray(part.astype(np.float32)) for part in parts)  # type: ignore[return-value]


def slices(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(image, 2, 0))


@pytest.mark.parametrize("single", [False, True])
def test_windows_hold_what_one_slice_at_a_time_gives(single: bool) -> None:
    water, fat = scan()
    second = None if single else fat
    found = prepared(slices(water), None if single else slices(fat), SPACING)
    windows = found.windows([0, 4, 10], CPU).numpy()
    a, b = (None if image is None else np.moveaxis(image, 2, 0) for image in (water, second))
    assert a is not None
    frame = body_frame(a, b)
    for window, k in zip(windows, (0, 4, 10), strict=True):
        planes = [max(k - 3, 0), k, min(k + 3, 10)]
        whole = network_input(a[planes], None if b is None else b[planes], frame)
        wanted = whole[:, found.box[0], found.box[1]]
        nx, ny = wanted.shape[1:]
        np.testing.assert_allclose(window[:, :nx, :ny], wanted, rtol=1e-5, atol=1e-6)
        assert not window[:7, nx:].any()
        assert not window[:7, :, ny:].any()
        np.testing.assert_array_equal(
            window[7:, nx:, :ny], np.repeat(window[7:, nx - 1 : nx, :ny], len(window[0]) - nx, 1)
        )
    assert all(side % 32 == 0 for side in windows.shape[2:])


def test_the_body_is_found_as_in_whole_arrays() -> None:
    water, fat = scan()
    frame, pixels = body_of(slices(water), slices(fat))
    known = body_frame(np.moveaxis(water, 2, 0), np.moveaxis(fat, 2, 0))
    assert frame.signal == known.signal
    np.testing.assert_array_equal(frame.centre, known.centre)
    np.testing.assert_array_equal(frame.half, known.half)
    total = np.maximum(water, 0) + np.maximum(fat, 0)
    np.testing.assert_array_equal(pixels, (total > 0.3 * known.signal).sum(axis=(0, 1)))


def test_the_median_of_a_large_scan_looks_at_the_same_voxels(monkeypatch: pytest.MonkeyPatch) -> None:
    from muscle_bayes.imaging import fat_fraction
    from muscle_bayes.imaging.network import signals

    seen: list[np.ndarray] = []

    def every_fifth(shape: tuple[int, ...]) -> int:
        return sampling_step(shape, 10_000)

    def median(values: np.ndarray) -> float:
        seen.append(np.sort(values))
        return in_body_median(values)

    water, fat = scan((70, 51, 11))
    step = every_fifth((11, 70, 51))
    assert step > 1
    monkeypatch.setattr(signals, "sampling_step", every_fifth)
    monkeypatch.setattr(signals, "in_body_median", median)
    body_of(slices(water), slices(fat))
    total = np.moveaxis(np.maximum(water, 0) + np.maximum(fat, 0), 2, 0)
    np.testing.assert_array_equal(seen[0], np.sort(total.ravel(order="F")[::step]))
    assert fat_fraction.sampling_step((10, 10, 10)) == 1


def test_slices_without_a_body_are_not_shown() -> None:
    water, fat = scan()
    water[:, :, :3], fat[:, :, :3] = 0, 0
    found = prepared(slices(water), slices(fat), SPACING)
    np.testing.assert_array_equal(found.shown, [False] * 3 + [True] * 8)


@pytest.mark.parametrize(("old", "new"), [(40, 23), (23, 40), (31, 62)])
def test_resampling_is_linear_interpolation_between_pixel_centres(old: int, new: int) -> None:
    values = np.random.default_rng(2).normal(size=(3, old, 4)).astype(np.float32)
    found = resampled(torch.from_numpy(values), 1, new).numpy()
    wanted = zoom(values.astype(float), (1, new / old, 1), order=1, grid_mode=True, mode="nearest")
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    smooth = resampled(torch.from_numpy(values), 1, new, smooth=True).numpy()
    if new < old:
        filtered = gaussian_filter1d(values.astype(float), 0.4 * old / new, axis=1)
        wanted = zoom(filtered, (1, new / old, 1), order=1, grid_mode=True, mode="nearest")
    np.testing.assert_allclose(smooth, wanted, atol=1e-5)


def test_pixels_near_the_networks_own_are_left_alone() -> None:
    stack = torch.zeros((2, 30, 20))
    assert to_pixels(stack, (1.45, 1.36)) is stack
    assert to_pixels(stack, (2.8, 1.4)).shape == (2, 60, 20)


def test_padding_follows_the_sides() -> None:
    windows = torch.rand(2, 9, 33, 64)
    found = padded(windows)
    assert found.shape == (2, 9, 64, 64)
    torch.testing.assert_close(found[:, :, :33], windows)
    torch.testing.assert_close(found[:, 7:, 63], windows[:, 7:, 32])


@pytest.mark.parametrize("mirror", [False, True])
def test_labels_are_those_of_numpy_slice_by_slice(mirror: bool) -> None:
    """The way that this replaced: arrays cut, normalised and padded by NumPy, one slice at a time."""
    from muscle_bayes.imaging.network.architecture import build_network, dynamic_unet
    from muscle_bayes.imaging.network.prediction import slice_labels

    torch.manual_seed(1)
    network = build_network(dynamic_unet((4, 4, 8))).eval()
    water, fat = scan()
    found, done = slice_labels([network], water, fat, SPACING, CPU, mirror=mirror, batch=3)
    assert done.out_of_memory == []
    a, b = np.moveaxis(water, 2, 0), np.moveaxis(fat, 2, 0)
    frame, box = body_frame(a, b), prepared(slices(water), slices(fat), SPACING).box
    swapped = [0, 1, 2, *(n + 1 if n % 2 else n - 1 for n in range(3, 17)), 17]
    wanted = np.zeros_like(found)
    for k in range(found.shape[2]):
        planes = [max(k - 3, 0), k, min(k + 3, found.shape[2] - 1)]
        one = network_input(a[planes], b[planes], frame)[:, box[0], box[1]]
        nx, ny = one.shape[1:]
        sides = [(0, 0), (0, -nx % 32), (0, -ny % 32)]
        view = np.concatenate([np.pad(one[:7], sides), np.pad(one[7:], sides, mode="edge")])
        with torch.no_grad():
            total = torch.softmax(network(torch.from_numpy(view[None])), 1)[0].numpy()
            if mirror:
                other = view[:, ::-1].copy()
                other[7] *= -1
                total = total + torch.softmax(network(torch.from_numpy(other[None])), 1)[0].numpy()[swapped, ::-1]
        wanted[box[0], box[1], k] = total[:, :nx, :ny].argmax(axis=0)
    # Sums in another order may turn a tie; of 38,500 voxels hardly one is so near to it.
    assert (found != wanted).mean() < 1e-4
    assert len(np.unique(found)) > 2
