"""Smooth random fields for phantoms: cubic B-splines with random coefficients on a lattice fixed in the body.

The lattice does not know the voxel size, so one seed gives one anatomy, however finely it is imaged.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: Variance of a cubic B-spline field with unit-variance coefficients, per axis (value of the septic B-spline at 0).
_VARIANCE_PER_AXIS = 151.0 / 315.0
#: Root mean square of a unit-variance field's derivative along an axis, times the lattice spacing: sqrt((2/3) / (151/315)).
GRADIENT_TIMES_SPACING = float(np.sqrt((2.0 / 3.0) / _VARIANCE_PER_AXIS))


def spline_basis(positions: NDArray[np.float64], origin: float, spacing: float, n: int) -> Array:
    """Return the cubic B-spline basis at some positions.

    Parameters
    ----------
    positions : (m,) float64
        Where to evaluate, in mm.
    origin, spacing : float
        First knot and knot distance, in mm.
    n : int
        Number of coefficients.

    Returns
    -------
    (m, n) float32
        Row i holds the weights of the coefficients at `positions[i]`.
    """
    distance = np.abs((np.asarray(positions)[:, None] - origin) / spacing - np.arange(n)[None, :])
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
    return np.where(distance < 1.0, near, far).astype(np.float32)


class SmoothNoise:
    """One random field with mean 0 and variance 1 over a body's box.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the coefficients come from.
    spacing_mm : (3,) sequence of float
        Lattice spacing along x, y and z: about the size of the field's features.
    """

    #: The lattice covers every body that a phantom can have, in mm of body coordinates.
    LOWER = (-330.0, -260.0, -110.0)
    UPPER = (330.0, 330.0, 300.0)

    def __init__(self, rng: np.random.Generator, spacing_mm: tuple[float, float, float]) -> None:
        self.spacing_mm = spacing_mm
        shape = [int(np.ceil((b - a) / h)) + 3 for a, b, h in zip(self.LOWER, self.UPPER, spacing_mm, strict=True)]
        scale = _VARIANCE_PER_AXIS ** (-1.5)
        # Slices first: evaluating one slice reads four layers only.
        self._coefficients = rng.standard_normal(shape[2:] + shape[:2], dtype=np.float32) * np.float32(scale)

    def on(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> "SlicedNoise":
        """Bind the field to the in-plane positions x (nx,) and y (ny,), in mm."""
        return SlicedNoise(self, x, y)

    def basis(self, axis: int, positions: NDArray[np.float64]) -> Array:
        """Return the spline basis along one axis, (m, n_axis)."""
        h = self.spacing_mm[axis]
        return spline_basis(positions, self.LOWER[axis] - h, h, self._coefficients.shape[(axis + 1) % 3])

    @property
    def coefficients(self) -> Array:
        """The lattice, (nz, nx, ny) float32."""
        return self._coefficients


class SlicedNoise:
    """A field bound to in-plane positions, evaluated slice by slice."""

    def __init__(self, field: SmoothNoise, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self._field = field
        basis_x, basis_y = field.basis(0, x), field.basis(1, y)
        # Only the lattice rows that the positions touch take part in the products.
        use_x, use_y = basis_x.any(axis=0), basis_y.any(axis=0)
        self._basis_x, self._basis_y = basis_x[:, use_x], basis_y[:, use_y].T.copy()
        self._coefficients = np.ascontiguousarray(field.coefficients[:, use_x][:, :, use_y])

    def at(self, z: float) -> Array:
        """Return the field on one slice, (nx, ny) float32."""
        weights = self._field.basis(2, np.array([z]))[0]
        layers = np.flatnonzero(weights)
        plane = np.tensordot(weights[layers], self._coefficients[layers[0] : layers[-1] + 1], axes=1)
        return self._basis_x @ plane @ self._basis_y
