"""Priors, stated on the scale people think in and turned into normals on the log-odds scale.

The prior of a coefficient is a 95 % range of its odds ratio per stated number of units; `resolve` turns it into a mean and a
standard deviation. Three sets exist for exposures: `weak`, `sceptical`, and `published` (see `specification.published`); a
model file may state any term of its own.
"""

from dataclasses import dataclass
from math import log
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Z_975 = 1.959963984540054

PriorSet = Literal["weak", "sceptical", "published"]


class OddsRatioPrior(BaseModel):
    """A normal prior on a log odds ratio, stated as the central 95 % range of the odds ratio.

    Attributes
    ----------
    or_95 : tuple of float
        Lower and upper end of the range.
    per : float
        For how many units of the column.
    reason : str
        Why this range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    or_95: tuple[float, float]
    per: float = Field(default=1.0, gt=0)
    reason: str

    @model_validator(mode="after")
    def _ordered(self) -> "OddsRatioPrior":
        if not 0 < self.or_95[0] < self.or_95[1]:
            raise ValueError("or_95 must be two odds ratios above 0, the lower one first")
        return self

    @property
    def mean(self) -> float:
        """Mean of the log odds ratio of one unit."""
        return log(self.or_95[0] * self.or_95[1]) / 2 / self.per

    @property
    def sd(self) -> float:
        """Standard deviation of the log odds ratio of one unit."""
        return (log(self.or_95[1]) - log(self.or_95[0])) / (2 * Z_975) / self.per


class PrevalencePrior(BaseModel):
    """A normal prior on the log odds of the event for a person whose predictors are all at their mean.

    Attributes
    ----------
    prevalence_95 : tuple of float
        Central 95 % range of the prevalence.
    reason : str
        Why this range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prevalence_95: tuple[float, float]
    reason: str

    @model_validator(mode="after")
    def _ordered(self) -> "PrevalencePrior":
        if not 0 < self.prevalence_95[0] < self.prevalence_95[1] < 1:
            raise ValueError("prevalence_95 must be two shares between 0 and 1, the lower one first")
        return self

    @property
    def _logits(self) -> tuple[float, float]:
        low, high = (log(share / (1 - share)) for share in self.prevalence_95)
        return low, high

    @property
    def mean(self) -> float:
        """Mean of the log odds."""
        return sum(self._logits) / 2

    @property
    def sd(self) -> float:
        """Standard deviation of the log odds."""
        return (self._logits[1] - self._logits[0]) / (2 * Z_975)


class HalfNormalPrior(BaseModel):
    """A half-normal prior on the standard deviation of a group-level term.

    Attributes
    ----------
    half_normal : float
        Scale, on the log-odds scale.
    reason : str
        Why this scale.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_normal: float = Field(gt=0)
    reason: str


class SlopeSDPrior(HalfNormalPrior):
    """A half-normal prior on the standard deviation of a log odds ratio between groups.

    Attributes
    ----------
    half_normal : float
        Scale, on the scale of the log odds ratio per `per` units.
    per : float or None
        For how many units of the column; None for an exposure's own contrast, and 1 for anything else.
    """

    per: float | None = Field(default=None, gt=0)


class DirichletPrior(BaseModel):
    """A Dirichlet prior on how an ordinal outcome's thresholds lie around the middle one.

    The middle threshold (of K categories, that above the first K // 2) has the prior of the intercept, as in a model of the
    event that it cuts off. Where it halves people, the shares of the categories within either half are Dirichlet. So the prior
    of the distances does not decide the level, which with few sites the data leave open between thresholds and site effects.

    Attributes
    ----------
    dirichlet : float or None
        Concentration of every category: it weighs as much as so many people in each. None for 1/K (Perks 1947, J Inst
        Actuaries 73:285): one person in all, however many categories there are.
    reason : str
        Why this concentration.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dirichlet: float | None = Field(default=None, gt=0)
    reason: str

    def concentration(self, categories: int) -> float:
        """Return the concentration of every one of so many categories."""
        return 1 / categories if self.dirichlet is None else self.dirichlet

    @property
    def stated(self) -> str:
        """``Dirichlet(1/K)``, or with the number that is stated."""
        return f"Dirichlet({'1/K' if self.dirichlet is None else f'{self.dirichlet:g}'})"


#: Upper end of the 95 % range of an exposure's odds ratio per contrast (2 Z in the catalogue), and of the factor by which it
#: changes with one unit of what it interacts with; the lower end is its inverse.
SETS: dict[str, float] = {"weak": 5.0, "sceptical": 1.5}

DEFAULT_INTERCEPT = PrevalencePrior(
    prevalence_95=(0.05, 0.95), reason="any outcome that is neither very rare nor nearly certain"
)
DEFAULT_ADJUSTMENT = OddsRatioPrior(
    or_95=(0.1, 10.0),
    reason="adjustment terms: tenfold odds either way per unit, far beyond what self-reported diagnoses show",
)
DEFAULT_SITE_SD = HalfNormalPrior(
    half_normal=0.5,
    reason="with few sites the prior of their SD matters: 95 % below 0.98, where a site one SD above the mean has seven "
    "times the odds of one that is one SD below it; vary it in a sensitivity analysis",
)

DEFAULT_THRESHOLDS = DirichletPrior(
    reason="weighs as much as one person over all categories together, however many there are (Perks 1947), and says how far "
    "apart thresholds lie, not where: the middle one has the prior of the intercept",
)


DEFAULT_SLOPE_SD = SlopeSDPrior(
    half_normal=0.25,
    reason="half of what is usual between studies of different protocols (half-normal 0.5 on the log odds ratio; Röver et al. "
    "2021, Res Synth Methods 12:448), because groups of one study share theirs: 95 % below 0.49, where the odds ratios per "
    "contrast of two groups at random differ by a factor of 1.6 in the median",
)


@dataclass(frozen=True)
class SDPrior:
    """A resolved half-normal prior of the SD of group effects.

    Attributes
    ----------
    term : str
        ``1|site`` or ``intermat_z|site``.
    scale : float
        Of the SD of the effects, per one unit of the column.
    stated : str
        The prior as a person reads it.
    reason : str
        Why.
    """

    term: str
    scale: float
    stated: str
    reason: str


@dataclass(frozen=True)
class NormalPrior:
    """A resolved prior of one coefficient.

    Attributes
    ----------
    term : str
        The term, or `intercept`.
    mean, sd : float
        Of the coefficient on the log-odds scale, per one unit of its column.
    stated : str
        The prior as a person reads it.
    reason : str
        Why.
    """

    term: str
    mean: float
    sd: float
    stated: str
    reason: str


def set_prior(name: str, contrast: float, *, interaction: bool) -> OddsRatioPrior:
    """Return the prior of an exposure (or of its interaction) in a set.

    Parameters
    ----------
    name : {"weak", "sceptical"}
        The set.
    contrast : float
        Units of the exposure that its odds ratio is stated for.
    interaction : bool
        Whether the term is an interaction with the exposure.

    Returns
    -------
    OddsRatioPrior
        The range, symmetric around 1 on the log scale.
    """
    upper = SETS[name]
    lower = 1 / upper
    what = "factor on the odds ratio for one unit more of the other variable" if interaction else "odds ratio"
    return OddsRatioPrior(
        or_95=(lower, upper),
        per=contrast,
        reason=f"set {name!r}: {what} per {contrast:g} {'unit' if contrast == 1 else 'units'} in {lower:.3g} to {upper:g}",
    )
