import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muscle_bayes.errors import LabelSchemeError
from muscle_bayes.imaging.schemes import read_scheme

ITK_SNAP = """\
################################################
# ITK-SnAP Label Description File
################################################
    0     0    0    0        0  0  0    "Clear Label"
   13   255  211  243        1  1  1    "13 Flexor hallucis longus Left"
   14   255  211  243      0.5  1  1    "Adductor hallucis Right"
   31     0  100    0        1  1  1    "31 Biceps femoris long Left"
   40   173  255   47        1  1  1    "40 Adductor magnus Right"
   61   255  105  180        1  1  1    "61 Rectus femoris Left"
   63   203  193    0        1  1  1    "63 Satorius Left"
   72   210  180  140        1  1  1    "72 Gluteus maximus Right"
   90   255  235  205        1  1  1    "90 Quadratus femoris Right"
  103   200  200  200        1  1  1    "93 Femur Left"
  111   200  200  200        1  1  1    "110 bones feet Left"
"""


def test_itk_snap_names_are_sorted_by_their_words(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text(ITK_SNAP)
    scheme = read_scheme(path)
    assert {number: (structure.name, structure.side) for number, structure in scheme.items()} == {
        13: ("other", "left"),
        14: ("other", "right"),  # of the foot
        31: ("hamstrings", "left"),
        40: ("adductors", "right"),
        61: ("quadriceps", "left"),
        63: ("sartorius", "left"),
        72: ("gluteals", "right"),
        90: ("other", "right"),
        103: ("bone", "left"),
        111: ("bone", "left"),
    }
    assert [number for number, structure in scheme.items() if not structure.is_muscle] == [103, 111]


def test_published_names_of_the_labelled_thigh(shared_data):
    scheme = read_scheme(shared_data / "thigh_labelled" / "labels.txt")
    expected = {
        "quadriceps": range(55, 63),
        "adductors": (*range(39, 49), 65, 66),
        "hamstrings": range(31, 39),
        "sartorius": (63, 64),
        "iliopsoas": range(49, 55),
        "gluteals": range(71, 77),
        "bone": range(101, 113),
    }
    for name, numbers in expected.items():
        assert {number for number, structure in scheme.items() if structure.name == name} == set(numbers)
    for number, structure in scheme.items():
        assert structure.side == ("left" if number % 2 else "right")


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_table(tmp_path, delimiter):
    path = tmp_path / "scheme.tsv"
    rows = [
        ("muscle", "id", "side", "note"),
        ("autochthonous", "46", "left", "x"),
        ("subcutaneous_fat", "65", "both", ""),
    ]
    path.write_text("\n".join(delimiter.join(row) for row in rows))
    scheme = read_scheme(path)
    assert (scheme[46].name, scheme[46].side, scheme[46].is_muscle) == ("autochthonous", "left", True)
    assert not scheme[65].is_muscle


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column id, muscle, side"),
        ("id,muscle\n1,other", "no column side"),
        ("id,muscle,side\nx,other,left", r"line 2: id 'x'"),
        ("id,muscle,side\n1,other,left\n1,other,right", r"line 3: id 1 occurs twice"),
        ("id,muscle,side\n1,deltoid,left", "'deltoid' is no structure here"),
        ("id,muscle,side\n1,other,lft", "side 'lft'"),
        ("id,muscle,side\n", "no structure is named"),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, message):
    path = tmp_path / "scheme.csv"
    path.write_text(text)
    with pytest.raises(LabelSchemeError, match=message) as caught:
        read_scheme(path)
    assert "scheme.csv" in str(caught.value)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(LabelSchemeError, match=r"none\.tsv"):
        read_scheme(tmp_path / "none.tsv")
    (tmp_path / "binary.tsv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(LabelSchemeError, match="cannot be read as text"):
        read_scheme(tmp_path / "binary.tsv")


@given(text=st.text(alphabet=string.printable, max_size=200), header=st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_or_refused(text, header):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scheme.csv"
        path.write_text(("id,muscle,side\n" if header else "") + text, encoding="utf-8")
        try:
            scheme = read_scheme(path)
        except LabelSchemeError:
            return
        assert scheme
        assert all(number > 0 for number in scheme)
