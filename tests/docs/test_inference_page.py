"""The page on inference says what the files of results say."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("inference_page", PROJECT / "benchmarks" / "inference_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_made_from_the_results(page_maker: ModuleType) -> None:
    page = (PROJECT / "docs" / "inference.md").read_text()
    assert page_maker.rendered(page) == page, "run python benchmarks/inference_page.py"


def test_the_page_states_the_limits_that_the_certificate_has(page_maker: ModuleType) -> None:
    from muscle_bayes.inference.laplace_certificate import MOST_STANDARD_ERRORS
    from muscle_bayes.inference.laplace_grid import COVERED, DEFENSIVE, EDGE_MASS
    from muscle_bayes.inference.laplace_proposal import MAIN, WIDENING
    from muscle_bayes.inference.laplace_quadrature import CHECKED_DRAWS, LARGEST_CHANGE

    page = " ".join((PROJECT / "docs" / "inference.md").read_text().split())
    assert (COVERED, EDGE_MASS) == ((1e-4, 0.9999), 1e-4)
    assert "from its 0.0001 to its 0.9999 quantile" in page
    assert f"within {MOST_STANDARD_ERRORS:g} Monte Carlo standard errors" in page
    assert f"with {100 * DEFENSIVE:g} % from its prior and {100 * DEFENSIVE:g} % uniform" in page
    share, freedom, scale = MAIN.share, MAIN.freedom, MAIN.scale
    stated = f"{100 * share[0]:g} % with {freedom[0]:g} degrees of freedom, {100 * share[1]:g} % with {freedom[1]:g}"
    assert f"({stated} and {scale[1]:g} times as wide)" in page
    assert f"{WIDENING:g} times as wide" in page
    assert f"on {CHECKED_DRAWS} draws" in page
    assert f"< {LARGEST_CHANGE:g}" in page
