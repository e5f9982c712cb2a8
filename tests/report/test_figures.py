"""Drawings inside the page: ids of their own, nothing that runs or loads, the same picture."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from muscle_bayes.report import figures
from muscle_bayes.report.page import Numbering

HOSTILE = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="30pt" height="20pt"
 onload="alert(1)">
 <metadata>https://example.org/</metadata>
 <style>* { display: none } @import url(https://example.org/x.css);</style>
 <script>alert(1)</script>
 <a href="https://example.org/"><text>link</text></a>
 <foreignObject><p>html</p></foreignObject>
 <defs><clipPath id="p1"><rect width="3" height="3"/></clipPath><path id="m1" d="M 0 0"/></defs>
 <image href="https://example.org/x.png"/><image href="data:image/png;base64,AAAA"/>
 <use xlink:href="#m1" clip-path="url(#p1)" onclick="alert(1)" style="fill: url(https://example.org/f)"/>
 <text>a &lt; b &amp; c</text>
</svg>"""


def parsed(markup):
    return ElementTree.fromstring(str(markup))


def attributes(root):
    return [(name, value) for element in root.iter() for name, value in element.attrib.items()]


def test_what_runs_or_loads_is_left_out_and_the_drawing_stays():
    root = parsed(figures.inline_svg(HOSTILE, "f1", "a drawing"))
    tags = {element.tag.split("}")[-1] for element in root.iter()}
    assert tags == {"svg", "defs", "clipPath", "rect", "path", "image", "use", "text"}
    assert not [name for name, _ in attributes(root) if name.startswith("on")]
    assert not [value for _, value in attributes(root) if "example.org" in value]
    assert [e.text for e in root.iter() if e.tag.endswith("text")] == ["a < b & c"]
    assert root.attrib["viewBox"] == "0 0 30 20"
    assert "width" not in root.attrib
    assert root.attrib["aria-label"] == "a drawing"


def test_references_follow_their_ids():
    root = parsed(figures.inline_svg(HOSTILE, "f1", ""))
    use = next(e for e in root.iter() if e.tag.endswith("use"))
    assert use.attrib["{http://www.w3.org/1999/xlink}href"] == "#f1-m1"
    assert use.attrib["clip-path"] == "url(#f1-p1)"
    assert {value for name, value in attributes(root) if name == "id"} == {"f1-p1", "f1-m1"}


def test_two_drawings_of_one_file_share_no_id_and_refer_only_to_their_own(tmp_path):
    figure = Figure()
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], "o-")
    ax.set_xlim(0.2, 0.8)
    figure.savefig(tmp_path / "a.svg")
    both = [str(figures.inline_file(tmp_path / "a.svg", key, "a line")) for key in ("figure-1", "figure-2")]
    ids = [set(re.findall(r'\bid="([^"]+)"', one)) for one in both]
    assert ids[0]
    assert not ids[0] & ids[1]
    for one, own in zip(both, ids, strict=True):
        used = set(re.findall(r"url\(#([^)]+)\)", one)) | set(re.findall(r'href="#([^"]+)"', one))
        assert used
        assert used <= own
        assert "<style" not in one
        assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", one)


def test_a_large_svg_goes_in_as_png(tmp_path):
    figure = Figure(figsize=(1, 1))
    figure.savefig(tmp_path / "a.png")
    (tmp_path / "a.svg").write_text(f"<svg xmlns='http://www.w3.org/2000/svg'><!--{'x' * figures.LARGEST_SVG}--></svg>")
    markup = figures.inline_file(tmp_path / "a.svg", "f", 'quoted "alt" <b>')
    assert markup.startswith(
        '<img class="drawing" alt="quoted &#34;alt&#34; &lt;b&gt;" src="data:image/png;base64,iVBOR'
    )


def test_a_phone_gets_the_one_column_drawing_where_there_is_one(tmp_path):
    for name, width in (("a.svg", 180), ("a_85mm.svg", 85), ("b.svg", 180)):
        figure = Figure(figsize=(width / 25.4, 1))
        figure.subplots().plot([0, 1])
        figure.savefig(tmp_path / name)
    both = figures.drawing(tmp_path / "a.svg", Numbering(simulated=True), "A line.", "a line").figure
    # A millimetre has 72 / 25.4 points.
    for markup, width in ((both.wide, 180), (both.narrow, 85)):
        assert float(parsed(markup).attrib["viewBox"].split()[2]) == pytest.approx(width * 72 / 25.4, abs=1)
    assert both.caption == "Figure 1. A line. Simulated data."
    assert figures.drawing(tmp_path / "b.svg", Numbering(simulated=False), "B.", "b").figure.narrow is None
