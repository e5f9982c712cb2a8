"""Reading tables: what a spreadsheet did to a file must not change a value."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muscle_bayes.cohort.tables import identifiers, numbers, read_table
from muscle_bayes.errors import EmptyTableError, TableError


def write(folder: Path, text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("comma.csv", "participant_id,age_years,site\n007,51.5,Berlin\n008,,Essen\n"),
        ("semicolon.csv", "participant_id;age_years;site\n007;51,5;Berlin\n008;NA;Essen\n"),
        ("tab.tsv", "participant_id\tage_years\tsite\n007\t51.5\tBerlin\n008\t.\tEssen\n"),
        ("quoted.csv", '"participant_id","age_years","site"\r\n"007","51,5","Berlin"\r\n"008","","Essen"\r\n'),
        ("bom.csv", "\ufeffparticipant_id,age_years,site\n007,51.5,Berlin\n008,n/a,Essen\n\n"),
    ],
)
def test_delimiters_decimal_signs_and_leading_zeros(tmp_path: Path, name: str, text: str) -> None:
    table = read_table(write(tmp_path, text, name))
    assert table["participant_id"].tolist() == ["007", "008"]
    ages, unreadable, why = numbers(table["age_years"])
    assert ages.iloc[0] == 51.5
    assert pd.isna(ages.iloc[1])
    assert why is None
    assert not unreadable.any()
    assert table["site"].tolist() == ["Berlin", "Essen"]


def test_windows_encoding_keeps_umlauts(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "participant_id;site\n1;Münster\n", encoding="cp1252"))
    assert table["site"].tolist() == ["Münster"]


def test_parquet_keeps_types(tmp_path: Path) -> None:
    pd.DataFrame({"participant_id": ["007"], "age_years": [51.5]}).to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table["age_years"].dtype == "float64"
    assert table["participant_id"].tolist() == ["007"]


def test_a_decimal_comma_in_a_comma_separated_file_is_not_shifted_into_the_next_column(tmp_path: Path) -> None:
    path = write(tmp_path, "participant_id,age_years,bmi_kg_m2\n1,51,24\n2,51,5,24,1\n")
    with pytest.raises(TableError, match=r"line 3: The line has 5 cells and the header 3; decimal commas"):
        read_table(path)


@pytest.mark.parametrize("text", ["", "\n\n", "participant_id,age_years\n"])
def test_empty_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(EmptyTableError, match=r"table\.csv"):
        read_table(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="There is no such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(TableError, match="cannot be read as parquet"):
        read_table(write(tmp_path, "not parquet", "t.parquet"))
    with pytest.raises(TableError, match=r"type '\.xlsx'"):
        read_table(write(tmp_path, "x", "t.xlsx"))
    with pytest.raises(TableError, match="Two columns are called 'a'"):
        read_table(write(tmp_path, "a,a\n1,2\n"))


def test_mixed_decimal_signs_are_refused_and_the_rarer_ones_named() -> None:
    _, unreadable, why = numbers(pd.Series(["7.5", "8.1", "6,9", "10"]))
    assert why == "decimal commas and decimal points are mixed"
    assert unreadable.tolist() == [False, False, True, False]


def test_text_in_a_number_column_is_not_made_missing() -> None:
    read, unreadable, why = numbers(pd.Series(["7,5", "k.A.", "", None]))
    assert why == "not a number"
    assert unreadable.tolist() == [False, True, False, False]
    assert read.tolist()[0] == 7.5


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_numbers_survive_text_with_points_or_commas(values: list[float]) -> None:
    for sign in (".", ","):
        text = pd.Series([f"{v:.6f}".replace(".", sign) for v in values])
        read, unreadable, why = numbers(text)
        assert why is None
        assert not unreadable.any()
        assert read.tolist() == [float(f"{v:.6f}") for v in values]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pd.Series([7, 12]), ["7", "12"]),
        (pd.Series([7.0, None]), ["7", None]),
        (pd.Series([" 007 ", "A1"]), ["007", "A1"]),
        (pd.Series(["007", ""], dtype=object), ["007", None]),
    ],
)
def test_identifiers_are_text(raw: pd.Series, expected: list[str | None]) -> None:
    assert [None if pd.isna(v) else v for v in identifiers(raw)] == expected
