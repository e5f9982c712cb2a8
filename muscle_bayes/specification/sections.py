"""The sections of a model file: standardisation, exposures and priors."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from muscle_bayes.specification.priors import (
    DEFAULT_ADJUSTMENT,
    DEFAULT_INTERCEPT,
    DEFAULT_SITE_SD,
    DEFAULT_SLOPE_SD,
    DEFAULT_THRESHOLDS,
    DirichletPrior,
    HalfNormalPrior,
    OddsRatioPrior,
    PrevalencePrior,
    PriorSet,
    SlopeSDPrior,
)

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Standardise(BaseModel):
    """How a Z-score is made.

    Attributes
    ----------
    source : str
        The raw column (`from` in the file).
    over : str
        Over whom mean and SD are taken: `all`, the whole analysis set, or a column of groups such as `sex`, each of which then
        has its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    source: str = Field(alias="from")
    over: str = Field(default="all", pattern=r"^[A-Za-z][A-Za-z0-9_]*$")

    @model_validator(mode="after")
    def _other_column(self) -> Self:
        if self.over == self.source:
            raise ValueError(f'over = {self.over!r} is the column itself; name a column of groups, or "all"')
        return self


class ExposureTerm(BaseModel):
    """What the study asks about, and for which contrast.

    Attributes
    ----------
    contrast : float
        Units of the column that odds ratios and priors are stated for: 2 for a Z-score unless stated, else 1. A categorical
        exposure has none to state: each level stands against the reference, one unit of its 0/1 column. In a smooth, priors
        are stated for so many SDs along its straight line, 2 unless stated.
    adverse : {"high", "low"} or None
        Which end goes with more of the outcome; None for a categorical exposure, whose levels need not have ends.
    levels : list of float
        Of an exposure in a smooth or another transform: values that odds ratios compare, the reference first, in the
        unit of its column. A curve has no one odds ratio.
    """

    model_config = _STRICT

    contrast: float = Field(default=2.0, gt=0)
    adverse: Literal["high", "low"] | None = "high"
    levels: list[float] = Field(default_factory=list)

    @model_validator(mode="after")
    def _compared(self) -> Self:
        if self.levels and (len(self.levels) < 2 or len(set(self.levels)) < len(self.levels)):
            raise ValueError("levels must be two or more different values, the reference first")
        return self


class Priors(BaseModel):
    """Priors as stated in a model file.

    Attributes
    ----------
    set : {"weak", "sceptical", "published"}
        For exposures and their interactions; `published` covers exposures with a published odds ratio, others stay `weak`.
    intercept, adjustment, site_sd
        For what the set does not cover.
    thresholds : DirichletPrior
        Of an ordinal outcome, which has thresholds in place of an intercept.
    slope_sd : SlopeSDPrior
        Of the SD of slopes between groups; `site_sd` is that of intercepts.
    terms : dict of str to OddsRatioPrior
        Terms with a prior of their own.
    sds : dict of str to SlopeSDPrior
        What varies with a prior of its own, such as ``1|scanner`` or ``intermat_z|site``.
    """

    model_config = _STRICT

    set: PriorSet = "weak"
    intercept: PrevalencePrior = DEFAULT_INTERCEPT
    thresholds: DirichletPrior = DEFAULT_THRESHOLDS
    adjustment: OddsRatioPrior = DEFAULT_ADJUSTMENT
    site_sd: HalfNormalPrior = DEFAULT_SITE_SD
    slope_sd: SlopeSDPrior = DEFAULT_SLOPE_SD
    terms: dict[str, OddsRatioPrior] = Field(default_factory=dict)
    sds: dict[str, SlopeSDPrior] = Field(default_factory=dict)
