"""The distance to reference scans: known answers of a Gaussian table, and bad scans that do not hide themselves."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.stats import expon, norm

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.quality import fit_reference, read_reference
from muscle_bayes.imaging.quality.reference import find_unlike, tail_limit, without_itself


def gaussian(n, seed=1):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    return pd.DataFrame({"group": "trunk", "a": 5 + 2 * a, "b": a + 0.5 * rng.normal(size=n)})


def test_distance_is_mahalanobis_of_the_population():
    reference = fit_reference(gaussian(4000))
    covariance = np.array([[4.0, 2.0], [2.0, 1.25]])
    away = np.array([4.0, -1.0])
    expected = np.sqrt(away @ np.linalg.solve(covariance, away))
    distance, _, names = reference.distance("trunk", {"a": 9.0, "b": -1.0})
    # 4,000 draws know a variance to 2.2 %, so the distance of 7.2 to about 1.5 %.
    assert distance == pytest.approx(expected, rel=0.05)
    assert set(names) == {"a", "b"}


def test_a_tenth_of_bad_scans_does_not_move_the_limit():
    good = gaussian(500)
    spoiled = good.copy()
    spoiled.loc[:49, "b"] += 30
    clean, mixed = (fit_reference(table).distance("trunk", {"a": 5.0, "b": 30.0}) for table in (good, spoiled))
    assert mixed[0] > mixed[1]
    assert mixed[0] == pytest.approx(clean[0], rel=0.15)


def test_of_other_good_scans_hardly_any_lies_beyond_the_limit():
    rng = np.random.default_rng(1)
    names = [f"x{i}" for i in range(14)]
    shares = []
    for n in (60, 400):
        reference = fit_reference(pd.DataFrame(rng.normal(size=(n, 14)), columns=names).assign(group="trunk"))
        others = rng.normal(size=(4000, 14))
        known = reference.groups["trunk"]
        away = others - known["centre"]
        distances = np.sqrt(np.einsum("ij,jk,ik->i", away, np.array(known["precision"]), away))
        shares.append(np.mean(distances > known["limit"]))
    # Gaussian tails are lighter than the exponential one, so fewer than 1 in 10,000; the quartiles of 60 scans are known to 15 %.
    assert shares[0] <= 0.01
    assert shares[1] <= 0.001


def test_distance_without_a_scan_itself_is_that_of_a_refit():
    x = np.random.default_rng(1).normal(size=(30, 5))
    squared = [mahalanobis(row, x.mean(axis=0), np.linalg.inv(np.cov(x, rowvar=False))) ** 2 for row in x]
    expected = []
    for i, row in enumerate(x):
        rest = np.delete(x, i, axis=0)
        expected.append(mahalanobis(row, rest.mean(axis=0), np.linalg.inv(np.cov(rest, rowvar=False))) ** 2)
    np.testing.assert_allclose(without_itself(np.array(squared), 30), expected, rtol=1e-9)


def test_limit_of_an_exponential_tail_is_its_quantile():
    at = (np.arange(100_000) + 0.5) / 100_000
    assert tail_limit(expon.ppf(at), 0.001) == pytest.approx(expon.ppf(0.999), rel=1e-3)
    assert tail_limit(norm.ppf(at), 0.001) > norm.ppf(0.999)


def test_simulated_reference_gives_notes_for_real_scans():
    reference = fit_reference(gaussian(100), simulated=True)
    for counts, severity in ((True, "review"), (False, "note")):
        (finding,) = find_unlike({"a": 100.0, "b": 0.0}, "trunk", reference, counts=counts)
        assert finding.severity == severity
        assert "simulated scans" in finding.message
    assert find_unlike({"a": 5.0}, "trunk", reference) == []
    assert find_unlike({"a": 100.0, "b": 0.0}, "thigh", reference) == []


def test_reference_round_trip_and_refusals(tmp_path):
    reference = fit_reference(gaussian(100))
    reference.save(tmp_path / "r.json")
    assert read_reference(tmp_path / "r.json") == reference
    (tmp_path / "broken.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidValueError, match="cannot be read as a reference"):
        read_reference(tmp_path / "broken.json")
    with pytest.raises(InvalidValueError, match="30 scans"):
        fit_reference(gaussian(20))


def test_reference_of_the_package_says_that_it_is_simulated():
    reference = read_reference()
    assert reference.simulated
    assert "benchmarks/quality.py --reference" in reference.made_by
    assert set(reference.groups) == {"trunk", "thigh"}
