"""Sweeps: the same numbers from one process and from several, and nothing computed is lost or computed twice."""

import json
from dataclasses import replace

import numpy as np
import pytest

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.estimands import one_specification, sensitivity, worker_processes
from muscle_bayes.estimands.multiverse import standing
from muscle_bayes.estimands.one_specification import Settings
from muscle_bayes.estimands.specifications import with_priors
from muscle_bayes.estimands.sweeping import read_results, specification_keys
from muscle_bayes.simulation import simulate_cohort
from muscle_bayes.specification import Priors, load_model
from muscle_bayes.specification.priors import HalfNormalPrior

NUMBERS = ["estimate", "lower", "upper", "mcse", "prob_gt_null", "n", "khat"]


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(n=600, seed=1)


def run(cohort, **more):
    settings = {"workers": 1, "draws": 400, "reviewer": False, **more}
    return sensitivity(
        "cbp_interaction", cohort, ("weak", "sceptical"), (0.25, 0.5), leave_out_sites=False, adipose=("threshold",), **settings
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(cohort):
    return run(cohort)


def same(a, b) -> None:
    np.testing.assert_array_equal(a[NUMBERS].to_numpy(float), b[NUMBERS].to_numpy(float))
    assert a[["estimand", "term", "contrast", "site"]].equals(b[["estimand", "term", "contrast", "site"]])
    assert a.attrs["data_hash"] == b.attrs["data_hash"]


def test_a_sweep_that_was_killed_goes_on(cohort, whole, tmp_path, monkeypatch) -> None:
    file, computed = tmp_path / "deep" / "sweep.jsonl", []
    compute = one_specification.Computer.compute

    def counted(self, specification):
        computed.append(specification)
        return compute(self, specification)

    monkeypatch.setattr(one_specification.Computer, "compute", counted)

    def kill(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cohort, results=file, progress=kill)
    assert len(read_results(file)) == 2
    # The machine went down while the third result was being written.
    with file.open("a") as lines:
        lines.write('{"format": 1, "key": "half a li')
    resumed = run(cohort, results=file)
    assert resumed.attrs["reused"] == 2
    assert len(computed) == len(set(computed)) == 4
    same(resumed, whole)
    assert len(read_results(file)) == 4
    again = run(cohort, results=file)
    assert again.attrs["reused"] == 4
    same(again, whole)
    for line in file.read_text().splitlines():
        assert json.loads(line)["certified"]


def test_a_key_holds_all_that_a_result_depends_on(cohort) -> None:
    model = load_model("cbp_interaction")
    settings, one = Settings({model.name: model}, cohort, True), standing(model)
    changed = cohort.copy()
    changed.loc[0, "cbp"] = 1 - changed.loc[0, "cbp"]
    other = with_priors(model, "weak", 0.7)
    wide = Priors(set="weak", site_sd=HalfNormalPrior(half_normal=2, reason="test"))
    cases = [
        (settings, one), (replace(settings, table=changed), one), (replace(settings, seed=2), one),
        (replace(settings, draws=400), one), (replace(settings, per=1.0), one),
        (replace(settings, estimands=("RERI",)), one), (replace(settings, models={model.name: other}), one),
        (settings, one.but(priors="sceptical")), (settings, one.but(excluded="young")),
        (replace(settings, rules={"young": {"column": "age_years", "op": "<", "value": 40}}), one.but(excluded="young")),
        (replace(settings, stated_priors={"mine": wide}), one.but(priors="mine")),
        (replace(settings, stated_priors={"mine": "sceptical"}), one.but(priors="mine")),
    ]  # fmt: skip
    keys = [specification_keys(one_settings, [choice])[0] for one_settings, choice in cases]
    assert len(set(keys)) == len(cases)
    # What other specifications need changes nothing.
    more = replace(settings, rules={"young": {}}, stated_priors={"mine": wide})
    assert specification_keys(more, [one]) == keys[:1]


def test_another_file_is_not_taken_for_results(cohort, tmp_path) -> None:
    for content in ('{"a": 1}\n', "participant_id\tsite\n1\tEssen\n"):
        file = tmp_path / "notes.txt"
        file.write_text(content)
        with pytest.raises(InvalidValueError, match="no result of a sensitivity analysis"):
            run(cohort, results=file)
        assert file.read_text() == content
    with pytest.raises(InvalidValueError, match="no number of processes"):
        run(cohort, workers=0)


def test_processes_compute_the_same_and_one_that_dies_takes_one_row(cohort, whole, tmp_path, monkeypatch) -> None:
    file = tmp_path / "sweep.jsonl"
    ask, killed = worker_processes._Process.ask, []

    def shot(self, specification):
        if specification.priors == "sceptical" and specification.site_sd == 0.25 and not killed:
            killed.append(self)
            self._process.kill()
            self._process.wait()
        return ask(self, specification)

    monkeypatch.setattr(worker_processes._Process, "ask", shot)
    frame = run(cohort, workers=2, results=file)
    lost = (frame["priors"] == "sceptical") & (frame["site_sd"] == 0.25)
    assert frame.loc[lost, "note"].str.contains("signal 9").all()
    assert frame.loc[lost, "estimate"].isna().all()
    assert frame.attrs["not_certified"] == 1
    same(frame[~lost].reset_index(drop=True), whole[~lost].reset_index(drop=True))
    # What was lost is no result: the next run computes it.
    assert len(read_results(file)) == 3
    mended = run(cohort, results=file)
    assert mended.attrs["reused"] == 3
    same(mended, whole)
