"""The gallery: runs each script in `gallery/`, keeps its figure, and writes a page with the lines that made it.

A script is a docstring (title, blank line, what it shows) and a few lines whose last one leaves a figure in `figure`. All
scripts start from the names that `gallery/_start.py` makes, so that a model is fitted once.
"""

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import muscle_bayes

THUMBNAIL_PIXELS = 640


@dataclass(frozen=True)
class Entry:
    """One figure of the gallery."""

    name: str
    title: str
    about: str
    code: str


def read_entry(path: Path) -> Entry:
    """Read a script's title, description and lines.

    Parameters
    ----------
    path : pathlib.Path
        A script of the gallery.

    Returns
    -------
    Entry
        `code` is what stands after the docstring.
    """
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    title, _, about = (ast.get_docstring(tree) or "").partition("\n\n")
    code = "\n".join(text.splitlines()[tree.body[0].end_lineno :]).strip()
    return Entry(path.stem, title.strip().rstrip("."), about.strip(), code)


def entries(folder: Path) -> list[Entry]:
    """Return the gallery's figures in the order of their scripts' names, without `_start`."""
    return [read_entry(path) for path in sorted(folder.glob("[!_]*.py"))]


def write_gallery(folder: Path) -> None:
    """Draw every figure that changed, and write the pages.

    Parameters
    ----------
    folder : pathlib.Path
        With the scripts; pages go beside them, figures into `drawn/`.
    """
    drawn = folder / "drawn"
    drawn.mkdir(exist_ok=True)
    start = (folder / "_start.py").read_text(encoding="utf-8")
    package = Path(muscle_bayes.__file__).parent
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(package.rglob("*.py")))).hexdigest()
    namespace: dict[str, Any] = {}
    cards = []
    for entry in entries(folder):
        stamp = drawn / f"{entry.name}.txt"
        wanted = hashlib.sha256((code + start + entry.code).encode()).hexdigest()
        if not stamp.is_file() or stamp.read_text() != wanted:
            if not namespace:
                exec(compile(start, "_start.py", "exec"), namespace)
            own = dict(namespace)
            exec(compile(entry.code, f"{entry.name}.py", "exec"), own)
            own["figure"].savefig(drawn / f"{entry.name}.png", dpi=200)
            _thumbnail(drawn / f"{entry.name}.png", drawn / f"{entry.name}_small.png")
            stamp.write_text(wanted)
        (folder / f"{entry.name}.md").write_text(_page(entry, start), encoding="utf-8")
        cards.append(
            f":::{{grid-item-card}} {entry.title}\n:link: {entry.name}\n:link-type: doc\n"
            f":img-top: drawn/{entry.name}_small.png\n:::"
        )
    names = "\n".join(entry.name for entry in entries(folder))
    (folder / "index.md").write_text(
        "# Gallery\n\nEvery figure, with the lines that make it. All data here are **simulated**.\n\n"
        "::::{grid} 1 2 3 3\n:gutter: 3\n\n"
        + "\n\n".join(cards)
        + f"\n::::\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n",
        encoding="utf-8",
    )


def _thumbnail(source: Path, target: Path) -> None:
    """Scale a figure to one width and cut it to one height, so that the cards stand in rows."""
    from PIL import Image

    picture = Image.open(source).convert("RGB")
    picture.thumbnail((THUMBNAIL_PIXELS, 10 * THUMBNAIL_PIXELS))
    canvas = Image.new("RGB", (THUMBNAIL_PIXELS, int(0.62 * THUMBNAIL_PIXELS)), "white")
    canvas.paste(picture, ((canvas.width - picture.width) // 2, max(0, (canvas.height - picture.height) // 2)))
    canvas.save(target)


def _page(entry: Entry, start: str) -> str:
    first = "\n".join(start.splitlines()[ast.parse(start).body[0].end_lineno :]).strip()
    return (
        f"# {entry.title}\n\n{entry.about}\n\n```python\n{entry.code}\n```\n\n"
        f"```{{image}} drawn/{entry.name}.png\n:alt: {entry.title}, simulated data\n:class: gallery-figure\n```\n\n"
        f":::{{dropdown}} What `cohort`, `fit` and the other names are\n```python\n{first}\n```\n:::\n"
    )
