"""Natural cubic splines in coordinates that a prior can be stated in: a straight line, and departures from it.

The space is that of R's ``splines::ns`` and ``rms::rcs`` with the same knots: cubic between the knots, straight beyond the
outer ones. Its coordinates are Demmler and Reinsch's: the first column is the standardised variable itself, the others
are uncorrelated with it and with each other over the analysis set, and their root mean squares fall as roughness
rises. Independent normal priors with one SD then are the prior of a smoothing spline: the covariance of the departures is
proportional to the inverse of the penalty, the integral of the squared second derivative (Wahba 1978, J R Stat Soc B
40, 364-372), and their size is stated as a share of the straight line's.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from muscle_bayes.errors import InvalidValueError

#: Quantiles of the outer knots, as Harrell places them (Regression Modeling Strategies, 2nd ed. 2015, table 2.3, four to six
#: knots); the others at equal steps between. The tails, where few persons are, stay straight.
OUTER = (0.05, 0.95)


@dataclass(frozen=True, eq=False)
class SplineBasis:
    """A natural cubic spline with the constants of the analysis set; holds no individual rows.

    Attributes
    ----------
    mean, sd : float
        Of the variable; the columns are functions of ``u = (x - mean) / sd``.
    knots : numpy.ndarray, shape (df + 1,)
        On the scale of u, ascending.
    coefficients : numpy.ndarray, shape (df, 2 + df + 1)
        Column j is ``c[j, 0] + c[j, 1] u + sum_k c[j, 2 + k] max(u - knots[k], 0)^3``.
    """

    mean: float
    sd: float
    knots: np.ndarray
    coefficients: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "knots", np.asarray(self.knots, dtype=float))
        object.__setattr__(self, "coefficients", np.asarray(self.coefficients, dtype=float))

    @property
    def df(self) -> int:
        """Number of columns."""
        return len(self.coefficients)

    def columns(self, x: np.ndarray) -> np.ndarray:
        """Return the columns of values of the variable.

        Parameters
        ----------
        x : numpy.ndarray, shape (n,)
            In the variable's own unit.

        Returns
        -------
        numpy.ndarray, shape (n, df)
            The straight line first.
        """
        u = (np.asarray(x, dtype=float) - self.mean) / self.sd
        return powers(u, self.knots) @ self.coefficients.T


def powers(u: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return ``1, u, max(u - knot, 0)^3 ...``, shape (n, 2 + K), of values (n,) and knots (K,)."""
    cubes = np.maximum(u[:, None] - knots, 0.0) ** 3
    return np.column_stack([np.ones_like(u), u, cubes])


def spline_basis(x: np.ndarray, df: int, *, bend: float, where: str) -> SplineBasis:
    """Make the basis of a natural cubic spline for a sample.

    Parameters
    ----------
    x : numpy.ndarray, shape (n,)
        The variable over the analysis set.
    df : int
        Columns; there is one knot more.
    bend : float
        Root mean square of all departures from the straight line together, under coefficients that have the same SD as
        the line's, as a share of the line's own.
    where : str
        What an error names.

    Returns
    -------
    SplineBasis
        With its constants.

    Raises
    ------
    InvalidValueError
        Where too many persons share a value for so many knots.
    """
    mean = float(np.mean(x))
    sd = float(np.std(x, ddof=1)) if len(x) > 1 else 0.0
    if not sd > 0:
        raise InvalidValueError(where, "its variable is the same for everyone", "Leave it out of the model")
    u = (np.asarray(x, dtype=float) - mean) / sd
    knots = np.quantile(u, np.linspace(*OUTER, df + 1))
    if not (np.diff(knots) > 1e-8).all():
        raise InvalidValueError(
            where,
            f"two of its {df + 1} knots fall on one value, which too many persons share",
            "Take a smaller df, or categories",
        )
    cubes = natural_cubes(knots)
    values = powers(u, knots)
    line, curves = values[:, :2], values[:, 2:] @ cubes.T
    fitted = np.linalg.lstsq(line, curves, rcond=None)[0]
    departures = curves - line @ fitted
    roughness, vectors = eigh(penalty(knots, cubes), departures.T @ departures / (len(u) - 1))
    size = roughness**-0.5
    vectors *= bend * size / np.sqrt((size**2).sum())
    # The sign of an eigenvector is arbitrary; so that refits agree, each departure ends above the line at the last knot.
    last = powers(knots[-1:], knots)
    vectors *= np.where((last[:, 2:] @ cubes.T - last[:, :2] @ fitted) @ vectors < 0, -1.0, 1.0)
    straight = np.zeros((1, 2 + len(knots)))
    straight[0, 1] = 1.0
    bent = np.column_stack([-(fitted @ vectors).T, vectors.T @ cubes])
    return SplineBasis(mean, sd, knots, np.vstack([straight, bent]))


def natural_cubes(knots: np.ndarray) -> np.ndarray:
    """Return the coefficients of truncated cubes that make natural cubic splines.

    Parameters
    ----------
    knots : numpy.ndarray, shape (K,)
        Ascending.

    Returns
    -------
    numpy.ndarray, shape (K - 2, K)
        Row k makes ``d_k - d_(K-1)`` (Hastie, Tibshirani, Friedman 2009, The Elements of Statistical Learning, eq. 5.4 and
        5.5), which is straight beyond the last knot.
    """
    count = len(knots)
    out = np.zeros((count - 2, count))
    for k in range(count - 2):
        out[k, k] = 1 / (knots[-1] - knots[k])
        out[k, -2] -= 1 / (knots[-1] - knots[-2])
        out[k, -1] = 1 / (knots[-1] - knots[-2]) - 1 / (knots[-1] - knots[k])
    return out


def penalty(knots: np.ndarray, cubes: np.ndarray) -> np.ndarray:
    """Return the integrals of products of second derivatives.

    Parameters
    ----------
    knots : numpy.ndarray, shape (K,)
        Ascending.
    cubes : numpy.ndarray, shape (m, K)
        Coefficients of truncated cubes of m natural splines.

    Returns
    -------
    numpy.ndarray, shape (m, m)
        Between the outer knots; beyond them second derivatives are 0. In closed form: they are linear between knots.
    """
    second = 6 * np.maximum(knots[:, None] - knots, 0.0) @ cubes.T
    left, right = second[:-1], second[1:]
    width = np.diff(knots)[:, None]
    cross = (width * left).T @ right
    return ((width * left).T @ left * 2 + cross + cross.T + (width * right).T @ right * 2) / 6
