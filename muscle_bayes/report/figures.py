"""Figures inside the page: SVG cleaned of everything but the drawing, with ids of its own; PNG where that is large."""

import base64
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from muscle_bayes.report.page import Drawing, Numbering

#: SVG above this size goes into the page as PNG.
LARGEST_SVG = 1_000_000

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREFS = ("href", f"{{{_XLINK}}}href")
#: What a drawing needs; scripts, foreign content, links and metadata are not among it.
_DRAWN = frozenset(
    {"svg", "g", "defs", "path", "use", "text", "tspan", "image", "clipPath", "mask", "pattern", "title", "desc"}
    | {"rect", "circle", "ellipse", "line", "polyline", "polygon", "linearGradient", "radialGradient", "stop"}
)
_INSIDE = re.compile(r"url\(#([^)]+)\)")
#: Width in print of the drawing that a phone is shown, in mm, and what the name of its file ends in.
NARROW_MM, NARROW_ENDING = 85.0, "_85mm"


@dataclass(frozen=True)
class InlineFigure:
    """A figure of the page.

    Attributes
    ----------
    key : str
        Its id.
    caption : str
        Under the figure.
    alt : str
        The figure in words, with its numbers.
    wide : markupsafe.Markup
        The drawing.
    narrow : markupsafe.Markup or None
        The same drawn for a phone, where it can be drawn anew.
    """

    key: str
    caption: str
    alt: str
    wide: Markup
    narrow: Markup | None = None


def inline_file(path: Path, key: str, alt: str) -> Markup:
    """Return a figure file as markup that needs nothing outside the page.

    Parameters
    ----------
    path : pathlib.Path
        SVG or PNG. Where an SVG is large the PNG of the same stem is taken, if there is one.
    key : str
        Id of the figure on the page; every id inside the drawing begins with it.
    alt : str
        The figure in words.

    Returns
    -------
    markupsafe.Markup
        An `svg` or `img` element.
    """
    if path.suffix == ".svg":
        other = path.with_suffix(".png")
        if path.stat().st_size <= LARGEST_SVG or not other.is_file():
            return inline_svg(path.read_text(encoding="utf-8"), key, alt)
        path = other
    return inline_png(path.read_bytes(), alt)


def inline_png(content: bytes, alt: str) -> Markup:
    """Return a PNG as an `img` element that carries its bytes."""
    data = base64.b64encode(content).decode("ascii")
    return Markup('<img class="drawing" alt="{}" src="data:image/png;base64,{}">').format(alt, data)


def inline_svg(source: str, key: str, alt: str) -> Markup:
    """Return an SVG for the inside of a page: unique ids, no scripts, no styles that leak, no outside references.

    Parameters
    ----------
    source : str
        SVG text.
    key : str
        Put before every id.
    alt : str
        The drawing in words.

    Returns
    -------
    markupsafe.Markup
        An `svg` element with a `viewBox`, scaled by the page.
    """
    root = ElementTree.fromstring(source)
    _clean(root, key)
    width, height = root.attrib.pop("width", ""), root.attrib.pop("height", "")
    if "viewBox" not in root.attrib:
        root.set("viewBox", f"0 0 {_number(width)} {_number(height)}")
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("class", "drawing")
    # matplotlib says this of every element in a style sheet, which would reach the whole page.
    root.set("style", "stroke-linejoin:round;stroke-linecap:butt")
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def drawing(svg: Path, number: "Numbering", caption: str, alt: str) -> "Drawing":
    """Return a figure file for the page, with the one-column version beside it for a phone, numbered.

    Parameters
    ----------
    svg : pathlib.Path
        The wide drawing; ``NAME_85mm.svg`` beside it is the narrow one, where there is one.
    number : Numbering
        Of the page.
    caption : str
        Under the figure.
    alt : str
        The figure in words, with its numbers.

    Returns
    -------
    Drawing
        Numbered.
    """
    key, beside = number.key(), svg.with_name(f"{svg.stem}{NARROW_ENDING}{svg.suffix}")
    narrow = inline_file(beside, f"{key}-narrow", alt) if beside.is_file() else None
    return number.figure(InlineFigure(key, caption, alt, inline_file(svg, key, alt), narrow))


def inline_drawn(figure: Any, key: str, alt: str) -> Markup:
    """Return a matplotlib figure as markup: SVG, or PNG where that is large.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn.
    key, alt : str
        As in `inline_file`.

    Returns
    -------
    markupsafe.Markup
        An `svg` or `img` element; the same for the same figure.
    """
    import matplotlib as mpl

    content = BytesIO()
    # Ids that depend on the drawing alone: the same results give the same page, byte for byte.
    with mpl.rc_context({"svg.hashsalt": key}):
        figure.savefig(content, format="svg", metadata={"Date": None}, dpi=150)
    if content.tell() <= LARGEST_SVG:
        return inline_svg(content.getvalue().decode("utf-8"), key, alt)
    content = BytesIO()
    figure.savefig(content, format="png", dpi=250)
    return inline_png(content.getvalue(), alt)


def _clean(element: ElementTree.Element, key: str) -> None:
    """Keep what is drawn, rename ids, and drop every attribute that could load or run something."""
    for child in list(element):
        tag = child.tag.removeprefix(f"{{{_SVG}}}") if isinstance(child.tag, str) else ""
        if tag in _DRAWN:
            _clean(child, key)
        else:
            element.remove(child)
    for name, value in list(element.attrib.items()):
        if name == "id":
            element.set(name, f"{key}-{value}")
        elif name in _HREFS:
            if value.startswith("#"):
                element.set(name, f"#{key}-{value[1:]}")
            elif not value.startswith("data:image/png;base64,"):
                del element.attrib[name]
        elif name.lower().startswith("on"):
            del element.attrib[name]
        elif "url(" in value:
            safe = _INSIDE.sub(rf"url(#{key}-\1)", value)
            if re.search(r"url\((?!#)", safe):
                del element.attrib[name]
            else:
                element.set(name, safe)


def _number(length: str) -> str:
    found = re.match(r"[\d.]+", length)
    return found.group() if found else "100"
