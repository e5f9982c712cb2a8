"""`write_qc_page`: every scan's mosaic on numbered pages, worst first, for the reviewers of a cohort."""

import base64
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from muscle_bayes.imaging.quality.mosaic import FINDINGS_HEIGHT

TEMPLATE, STYLE = "qc_page.html.jinja", "report.css"
PER_PAGE = 50
_ORDER = {"fail": 0, "review": 1, "pass": 2}
_SEVERITY = {"fail": 0, "review": 1, "note": 2}
#: Pictures are stored as JPEG of this quality: a page of 50 stays below about 8 MB.
_QUALITY = 82


def write_qc_page(
    folder: str | Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    title: str = "Quality of scans",
    simulated: bool = False,
    per_page: int = PER_PAGE,
) -> list[Path]:
    """Write the pages that reviewers go through.

    Parameters
    ----------
    folder : path
        Where the pages are written: index.html, page_002.html, and so on. Pages of an earlier run that are no longer needed
        are removed.
    rows : iterable of mapping
        One a scan: participant_id, session_id, qc, findings (as `Quality.to_dict` has them, or `Finding`), mosaic (path of the
        PNG, or None) and, where there is one, decision.
    title : str
        Heading.
    simulated : bool
        Whether the scans are phantoms; said on every page.
    per_page : int
        Scans on a page.

    Returns
    -------
    list of pathlib.Path
        The pages, in order. Each needs nothing but itself: no script, no other file. Scans that ask for most come first: fail
        before review before pass, then by the number of findings.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    scans = sorted((_scan(row) for row in rows), key=_rank)
    pages = [scans[i : i + per_page] for i in range(0, len(scans), per_page)] or [[]]
    names = [_name(number) for number in range(1, len(pages) + 1)]
    counts = {word: sum(scan["qc"] == word for scan in scans) for word in _ORDER}
    counts |= {"decided": sum(bool(scan["decision"]) for scan in scans)}
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    package = files("muscle_bayes.report")
    template = environment.from_string(package.joinpath(TEMPLATE).read_text(encoding="utf-8"))
    style = Markup(package.joinpath(STYLE).read_text(encoding="utf-8"))
    written = []
    for number, (name, part) in enumerate(zip(names, pages, strict=True), 1):
        # Pictures of one page at a time: a cohort's would not fit into memory.
        shown = [{**scan, "picture": _picture(scan["mosaic"])} for scan in part]
        text = template.render(
            title=title,
            scans=shown,
            counts=counts,
            total=len(scans),
            number=number,
            first=(number - 1) * per_page + 1,
            names=names,
            near=_near(number, len(names)),
            simulated=simulated,
            style=style,
        )
        path = folder / name
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
        written.append(path)
    for old in folder.glob("page_*.html"):
        if old.name not in names:
            old.unlink()
    return written


def _scan(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says about one scan."""
    findings = []
    for finding in row.get("findings") or []:
        said = finding if isinstance(finding, Mapping) else vars(finding)
        findings.append({"severity": str(said["severity"]), "kind": str(said["kind"]), "message": str(said["message"])})
    findings.sort(key=lambda finding: _SEVERITY.get(finding["severity"], 3))
    mosaic = row.get("mosaic")
    return {
        "participant_id": str(row["participant_id"]),
        "session_id": str(row.get("session_id") or ""),
        "qc": str(row.get("qc") or "pass"),
        "decision": str(row.get("decision") or ""),
        "findings": findings,
        "mosaic": None if mosaic is None or str(mosaic) == "" else Path(mosaic),
    }


def _rank(scan: Mapping[str, Any]) -> tuple[int, int, str, str]:
    asking = sum(finding["severity"] != "note" for finding in scan["findings"])
    return _ORDER.get(scan["qc"], 3), -asking, scan["participant_id"], scan["session_id"]


def _name(number: int) -> str:
    return "index.html" if number == 1 else f"page_{number:03d}.html"


def _near(number: int, last: int) -> Sequence[int]:
    """Pages to link to: the first, the last and those around this one; 0 stands for a gap."""
    shown = sorted({1, last, *range(max(number - 2, 1), min(number + 2, last) + 1)})
    out: list[int] = []
    for page in shown:
        if out and page > out[-1] + 1:
            out.append(0)
        out.append(page)
    return out


def _picture(path: Path | None) -> dict[str, Any] | None:
    """Return a mosaic as a data address with its size, or None where there is no picture."""
    if path is None or not path.is_file():
        return None
    with Image.open(path) as image:
        content = io.BytesIO()
        # The page writes the findings itself, larger.
        width, height = image.size[0], image.size[1] - int(image.info.get(FINDINGS_HEIGHT, 0))
        image.convert("RGB").crop((0, 0, width, height)).save(content, "JPEG", quality=_QUALITY, optimize=True)
    address = "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii")
    return {"address": Markup(address), "width": width, "height": height}
