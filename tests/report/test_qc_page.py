"""Pages for reviewers: worst first, one file each, nothing loaded from elsewhere, every text escaped."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from muscle_bayes.imaging.images import Volume
from muscle_bayes.imaging.quality import Finding
from muscle_bayes.report import write_qc_page


@pytest.fixture
def rows(tmp_path):
    picture = tmp_path / "m.png"
    Image.new("RGB", (60, 40), "#204060").save(picture)
    review = Finding("asymmetry", "review", "left < right", 2.0, 1.6)
    fail = Finding("zero_slices", "fail", "slices 3-9 have no signal", 7, 0)
    return [
        {"participant_id": "good", "qc": "pass", "findings": [], "mosaic": picture},
        {"participant_id": "one", "qc": "review", "findings": [review], "mosaic": picture},
        {"participant_id": "two", "qc": "review", "findings": [review, review], "mosaic": None},
        {"participant_id": "<b>bad", "session_id": "2", "qc": "fail", "findings": [vars(fail)], "mosaic": picture},
        {"participant_id": "decided", "qc": "pass", "findings": [], "mosaic": picture, "decision": "pass"},
    ]


def order(text):
    return [
        name.strip() for name in re.findall(r'class="verdict \w+">\w+</span> ([^<,]+)', text[text.index("<section") :])
    ]


def test_worst_come_first_over_pages(tmp_path, rows):
    pages = write_qc_page(tmp_path / "qc", rows, per_page=2, simulated=True)
    assert [page.name for page in pages] == ["index.html", "page_002.html", "page_003.html"]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    assert [name for text in texts for name in order(text)] == ["&lt;b&gt;bad", "two", "one", "decided", "good"]
    assert 'href="page_002.html" rel="next"' in texts[0]
    assert 'href="index.html" rel="prev"' in texts[1]
    assert 'rel="next"' not in texts[2]
    for text in texts:
        assert "Simulated data" in text
        assert "<script" not in text
        # Nothing is loaded from elsewhere: addresses are of these pages or pictures within them.
        for address in re.findall(r'(?:src|href)="([^"]+)"', text):
            assert address.startswith("data:image/jpeg") or address in {page.name for page in pages}
    assert "left &lt; right" in texts[0]
    assert "There is no picture of this scan" in texts[0]


def test_findings_stand_once_on_the_page(tmp_path):
    """What the mosaic says of its foot is cut off: the page writes the findings itself."""
    from muscle_bayes.imaging.quality.mosaic import draw_mosaic

    data = np.zeros((40, 30, 12), dtype=np.float32)
    data[5:35, 5:25] = 300
    volume = Volume(data, np.diag([3.0, 3.0, 6.0, 1.0]), "made up", "")
    finding = Finding("zero_slices", "review", "slice 4 has no signal", 1, 0, (3,))
    heights = []
    for name, findings in (("one", [finding]), ("three", [finding] * 3)):
        picture = draw_mosaic(volume, None, None, tmp_path / f"{name}.png", findings=findings)
        row = {"participant_id": name, "qc": "review", "findings": findings, "mosaic": picture}
        (page,) = write_qc_page(tmp_path / name, [row])
        content = re.search(r'src="data:image/jpeg;base64,([^"]+)"', page.read_text(encoding="utf-8"))
        with Image.open(picture) as drawn, Image.open(io.BytesIO(base64.b64decode(content[1]))) as shown:
            heights.append((drawn.size[1], shown.size[1]))
    (one, shown_one), (three, shown_three) = heights
    assert one < three
    assert abs(shown_one - shown_three) <= 1
    assert one - shown_one == pytest.approx(39, abs=1)  # 0.2 inches and a line of 0.19


def test_pages_of_an_earlier_run_go(tmp_path, rows):
    write_qc_page(tmp_path, rows, per_page=1)
    assert len(list(tmp_path.glob("page_*.html"))) == 4
    (page,) = write_qc_page(tmp_path, rows[:1])
    assert list(tmp_path.glob("*.html")) == [page]
    assert "Simulated data" not in page.read_text(encoding="utf-8")


def test_no_scans_still_make_a_page(tmp_path):
    (page,) = write_qc_page(tmp_path, [])
    assert "<b>0</b> scans" in page.read_text(encoding="utf-8")
