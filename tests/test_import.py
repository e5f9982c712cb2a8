"""Importing the package is cheap, and what it promises is there."""

import subprocess
import sys

import pytest

import muscle_bayes as mb


def _modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = _modules_after("import muscle_bayes")
    assert not loaded & {"torch", "monai", "pymc", "pytensor", "bambi", "pandas", "numpy", "matplotlib"}


@pytest.mark.parametrize("stage", ["cohort", "simulation", "imaging", "specification", "inference", "estimands"])
def test_stages_import_neither_torch_nor_pymc(stage: str) -> None:
    assert not _modules_after(f"import muscle_bayes.{stage}") & {
        "torch",
        "monai",
        "pymc",
        "pytensor",
        "matplotlib.pyplot",
    }


def test_the_command_line_imports_nothing_heavy() -> None:
    assert not _modules_after("import muscle_bayes.cli") & {"torch", "pymc", "bambi", "pandas", "numpy", "matplotlib"}


def test_every_public_name_is_there_and_documented() -> None:
    for name in mb.__all__:
        assert getattr(mb, name).__doc__, name
    assert set(mb.__all__) <= set(dir(mb))
    with pytest.raises(AttributeError, match="no attribute 'nomogramm'"):
        mb.nomogramm  # noqa: B018


def test_the_fast_engines_do_not_import_pymc() -> None:
    statement = (
        "import muscle_bayes as mb; t = mb.simulate_cohort(n=500); "
        "fits = [mb.fit('cbp_main', t, method=m, draws=400) for m in ('laplace', 'ml')]; "
        "[mb.odds_ratios(f, allow_unconverged=True) for f in fits]"
    )
    loaded = _modules_after(statement)
    assert not loaded & {"pymc", "pytensor", "bambi", "torch"}
    # Not needed either, and seconds to import: a fresh process with its fit should take less than five.
    assert not loaded & {"numba", "sparse", "arviz_stats", "arviz", "scipy.stats", "matplotlib.pyplot", "pandera"}
