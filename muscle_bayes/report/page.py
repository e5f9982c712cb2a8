"""The parts that the page is put together from; the template knows how each of them looks."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from muscle_bayes.report.figures import InlineFigure
from muscle_bayes.report.tables import Table

_DOI = re.compile(
    r"(?:https?://(?:dx\.)?doi\.org/|doi:?\s*)(?P<doi>10\.\d{4,9}/[-._;()/:A-Za-z0-9]*[A-Za-z0-9])", re.IGNORECASE
)


@dataclass(frozen=True)
class Paragraph:
    """Running text; `style` is a class of the style sheet."""

    kind: ClassVar[str] = "paragraph"
    text: str
    style: str = ""


@dataclass(frozen=True)
class Code:
    """A formula or another line of code."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences; `marks` may name the kind of each (failure, warning, note)."""

    kind: ClassVar[str] = "bullets"
    sentences: tuple[str, ...]
    marks: tuple[str, ...] = ()

    @property
    def marked(self) -> list[tuple[str, str]]:
        """Mark and sentence of every entry."""
        return list(zip(self.marks or ("",) * len(self.sentences), self.sentences, strict=True))


@dataclass(frozen=True)
class Box:
    """A framed message that must not be missed."""

    kind: ClassVar[str] = "box"
    tone: Literal["failure", "warning", "note"]
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """One exposure's odds ratio, large."""

    label: str
    meaning: str
    estimate: str
    interval: str
    contrast: str
    chance: str


@dataclass(frozen=True)
class Cards:
    """Key numbers side by side."""

    kind: ClassVar[str] = "cards"
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class FlowStep:
    """A box of the flow chart with who left before it."""

    title: str
    left: int
    removed: int = 0
    reason: str = ""


@dataclass(frozen=True)
class FlowChart:
    """Participants from the table that was read to the analysis set."""

    kind: ClassVar[str] = "flow"
    steps: tuple[FlowStep, ...]
    caption: str


@dataclass(frozen=True)
class Tabular:
    """A table on the page."""

    kind: ClassVar[str] = "table"
    key: str
    table: Table


@dataclass(frozen=True)
class Drawing:
    """A figure on the page."""

    kind: ClassVar[str] = "figure"
    figure: InlineFigure


@dataclass(frozen=True)
class Fold:
    """Parts that are shown on demand."""

    kind: ClassVar[str] = "fold"
    title: str
    blocks: tuple[Any, ...]


@dataclass(frozen=True)
class Reference:
    """A reference; the DOI becomes a link."""

    before: str
    doi: str
    after: str


@dataclass(frozen=True)
class References:
    """A list of references."""

    kind: ClassVar[str] = "references"
    cited: tuple[Reference, ...]


@dataclass(frozen=True)
class Section:
    """A heading with its parts and the sections under it."""

    key: str
    title: str
    blocks: list[Any] = field(default_factory=list)
    sections: list["Section"] = field(default_factory=list)
    short: str = ""

    @property
    def entry(self) -> str:
        """What the table of contents calls it."""
        return self.short or self.title


def reference(text: str) -> Reference:
    """Find the DOI in a reference.

    Parameters
    ----------
    text : str
        As a model file states it.

    Returns
    -------
    Reference
        With an empty `doi` where there is none.
    """
    found = _DOI.search(text)
    if found is None:
        return Reference(text, "", "")
    return Reference(text[: found.start()], found["doi"], text[found.end() :])


class Numbering:
    """Numbers tables and figures in the order in which they are made, and writes the mark of simulated data.

    Parameters
    ----------
    simulated : bool
        Whether captions say "Simulated data".
    """

    def __init__(self, simulated: bool) -> None:
        self._counts = {"Table": 0, "Figure": 0, "Folded": 0}
        self._mark = " Simulated data." if simulated else ""

    def _next(self, what: str) -> int:
        self._counts[what] += 1
        return self._counts[what]

    def table(self, table: Table, *, data: bool = True) -> Tabular:
        """Return a table with its number; one that holds no data, such as versions, is not marked as simulated."""
        number = self._next("Table")
        mark = self._mark if data else ""
        return Tabular(f"table-{number}", replace(table, caption=f"Table {number}. {table.caption}{mark}"))

    def folded(self, table: Table) -> Tabular:
        """Return a table for a fold: without a number, so that those in sight are numbered without a gap."""
        number = self._next("Folded")
        return Tabular(f"folded-table-{number}", replace(table, caption=f"{table.caption}{self._mark}"))

    def key(self) -> str:
        """Return the id that the next figure will have."""
        return f"figure-{self._counts['Figure'] + 1}"

    def figure(self, figure: InlineFigure) -> Drawing:
        """Return a figure with its number."""
        number = self._next("Figure")
        return Drawing(replace(figure, caption=f"Figure {number}. {figure.caption}{self._mark}"))
