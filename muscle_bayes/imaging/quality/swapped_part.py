"""The outline of a part in which water and fat are exchanged: the cheapest surface between what is and what is not.

A cut between two neighbouring voxels is cheap where exchanging one of them makes them alike, and dear within tissue that
goes on. Votes that their neighbourhood agrees on are fixed; the minimum cut (Boykov & Jolly 2001, by SciPy's maximum flow)
runs on a grid of about 6 mm and is then sharpened on the grid of the view.
"""

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from muscle_bayes.imaging.quality.view import View

_COARSE_MM = 5.5
#: Capacities are whole numbers for SciPy: a full cut, and a vote that nothing outbids.
_FULL, _FIXED = 100, 100_000
#: How fast a cut gets dearer where neighbours are alike as they are.
_STEEP = 4.0
_SWEEPS = 6


def outline_part(view: View, exchanged: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Outline an exchanged part.

    Parameters
    ----------
    view : View
        Of a Dixon pair.
    exchanged, right : ndarray (nx, ny, nz) bool
        Votes that hold.

    Returns
    -------
    ndarray (nx, ny, nz) bool
        Where water and fat are exchanged.
    """
    assert view.water is not None
    assert view.fat is not None
    steps = tuple(max(1, round(_COARSE_MM / step)) for step in view.spacing)
    shape = tuple(-(-size // step) for size, step in zip(view.body.shape, steps, strict=True))

    def coarse(data: np.ndarray) -> np.ndarray:
        pad = [(0, step * n - size) for size, step, n in zip(data.shape, steps, shape, strict=True)]
        blocks = np.pad(data.astype(np.float32), pad, mode="edge")
        return np.asarray(
            blocks.reshape(shape[0], steps[0], shape[1], steps[1], shape[2], steps[2]).mean(axis=(1, 3, 5))
        )

    inside = coarse(view.body) >= 0.5
    net = coarse(exchanged) - coarse(right)
    state = _minimum_cut(
        coarse(view.water) / view.median, coarse(view.fat) / view.median, inside, net > 0.05, net < -0.05
    )
    fine = state
    for axis, step in enumerate(steps):
        fine = np.repeat(fine, step, axis=axis)
    fine = fine[tuple(slice(0, size) for size in view.body.shape)]
    return _sharpened(view, fine & view.body, steps)


def _cut_cost(water: np.ndarray, fat: np.ndarray, axis: int) -> np.ndarray:
    """Cost (0 to 1) of a cut between each voxel and the next along an axis."""
    first = [slice(None)] * 3
    second = [slice(None)] * 3
    first[axis], second[axis] = slice(0, -1), slice(1, None)
    a, b = tuple(first), tuple(second)
    same = np.abs(water[a] - water[b]) + np.abs(fat[a] - fat[b])
    other = np.abs(water[a] - fat[b]) + np.abs(fat[a] - water[b])
    return np.asarray(1 / (1 + np.exp(np.clip(_STEEP * (same - other), -20, 20))))


def _minimum_cut(
    water: np.ndarray, fat: np.ndarray, inside: np.ndarray, exchanged: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Return the side of the source of the minimum cut, (nx, ny, nz) bool."""
    number = np.full(inside.shape, -1, dtype=np.int32)
    count = int(inside.sum())
    number[inside] = np.arange(count)
    source, sink = count, count + 1
    heads, tails, capacities = [], [], []
    for axis in range(3):
        cost = np.maximum(np.rint(_FULL * _cut_cost(water, fat, axis)), 1).astype(np.int32)
        a = np.take(number, range(number.shape[axis] - 1), axis=axis)
        b = np.take(number, range(1, number.shape[axis]), axis=axis)
        both = (a >= 0) & (b >= 0)
        heads += [a[both], b[both]]
        tails += [b[both], a[both]]
        capacities += [cost[both], cost[both]]
    for mask, from_source in ((exchanged & inside, True), (right & inside, False)):
        nodes = number[mask]
        ends = np.full(nodes.size, source if from_source else sink, dtype=np.int32)
        heads.append(ends if from_source else nodes)
        tails.append(nodes if from_source else ends)
        capacities.append(np.full(nodes.size, _FIXED, dtype=np.int32))
    graph = csr_array(
        (np.concatenate(capacities), (np.concatenate(heads), np.concatenate(tails))), shape=(count + 2, count + 2)
    )
    graph.indices, graph.indptr = graph.indices.astype(np.int32), graph.indptr.astype(np.int32)
    flow = maximum_flow(graph, source, sink).flow
    residual = graph - flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, source, return_predecessors=False)
    side = np.zeros(count + 2, dtype=bool)
    side[reached] = True
    state = np.zeros(inside.shape, dtype=bool)
    state[inside] = side[:count]
    return state


def _sharpened(view: View, state: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """Let voxels within a coarse voxel of the outline take the state that suits their neighbours better."""
    assert view.water is not None
    assert view.fat is not None
    water, fat = view.water / view.median, view.fat / view.median
    grown = ndimage.binary_dilation(state, np.ones([2 * step + 1 for step in steps]))
    shrunk = ndimage.binary_erosion(state, np.ones([2 * step + 1 for step in steps]), border_value=1)
    band = grown & ~shrunk & view.body
    near = (3, 3, 1)
    weight = ndimage.uniform_filter(view.body.astype(np.float32), near)
    for _ in range(_SWEEPS):
        w, f = np.where(state, fat, water), np.where(state, water, fat)
        mean_w, mean_f = (
            ndimage.uniform_filter(np.where(view.body, data, 0), near) / np.maximum(weight, 1e-6) for data in (w, f)
        )
        turns = np.abs(f - mean_w) + np.abs(w - mean_f) < np.abs(w - mean_w) + np.abs(f - mean_f) - 0.2
        change = band & turns
        if not change.any():
            break
        state = state ^ change
    return np.asarray(ndimage.binary_opening(state, np.ones((3, 3, 1))) | (state & shrunk))
