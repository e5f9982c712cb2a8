"""Notebooks 02 to 07: each runs without a word on stderr, and what its prose says of its results is so."""

from collections.abc import Callable
from typing import Any

import numpy as np
from nbformat import NotebookNode

Run = Callable[[str, str], tuple[NotebookNode, dict[str, Any]]]


def quiet(notebook: NotebookNode, figures: int) -> None:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) == figures
    assert "simulated" in notebook.cells[0].source


def test_frequentist_and_bayesian(run_notebook: Run) -> None:
    facts = """{
        "beside": compared[(compared["role"] == "exposure") & compared["source"].isin(["ML", "Logit, site fixed"])][
            ["width_ratio", "shift"]
        ].to_dict("list"),
        "few": few[(few["role"] == "exposure")]["width_ratio"].tolist(),
        "intercepts": widths.to_dict(),
        "passed": [rare.diagnostics.passed, rare_ml.diagnostics.passed],
        "events": rare.events,
        "rare": odds.set_index("term")[["lower", "upper", "prob_gt_null"]].T.to_dict("list"),
    }"""
    notebook, said = run_notebook("02_frequentist_and_bayesian", facts)
    quiet(notebook, figures=2)
    np.testing.assert_allclose(said["beside"]["width_ratio"], 1, atol=0.06)
    np.testing.assert_allclose(said["beside"]["shift"], 0, atol=0.1)
    np.testing.assert_allclose(said["few"], 1, atol=0.08)
    # The wider the prior of the site SD, the wider the intercept; maximum likelihood is narrowest.
    widths = said["intercepts"]
    assert widths["ML"] < widths["half-normal(0.25)"] < widths["half-normal(0.5)"] < widths["half-normal(1)"]
    assert said["passed"] == [True, False]
    assert said["events"] == 27
    lower, upper, _ = said["rare"]["intermat_z"]
    assert lower < 0.5
    assert 1.7 < upper < 2.1
    assert said["rare"]["lmm_z"][2] < 0.1


def test_exploring_in_arviz(run_notebook: Run) -> None:
    facts = """{
        "apart": both["difference / SD"].abs().max(),
        "r_hat": float(az.summary(nuts.posterior, var_names=exposures)["r_hat"].astype(float).max()),
        "elpd": compared[compared["estimand"] == "elpd_loo difference"].set_index("term")[["lower", "upper"]].T.to_dict("list"),
        "moved": az.psense_summary(tree, var_names=["intermat_z", "lmm_z", "1|site_sigma"])["prior"].astype(float).to_dict(),
        "ci": az.rcParams["stats.ci_prob"],
    }"""
    notebook, said = run_notebook("03_exploring_the_posterior_in_arviz", facts)
    quiet(notebook, figures=5)
    # 2,000 draws of NUTS against 3,592 effective ones: 4 joint standard errors of a mean are 0.12 SD.
    assert said["apart"] < 0.12
    assert said["r_hat"] < 1.02
    assert said["elpd"]["interaction"][1] > -2
    assert said["elpd"]["unadjusted"][1] < 0
    assert said["moved"]["intermat_z"] < 0.05
    assert said["moved"]["1|site_sigma"] > said["moved"]["intermat_z"]


def test_from_images_to_measurements(run_notebook: Run) -> None:
    facts = """{
        "threshold": [row["threshold"] for row in rows.values()],
        "fraction": [row["fraction"] for row in rows.values()],
        "mixture": [row["mixture"] for row in rows.values()],
        "swapped": back(swapped)["qc"],
        "same": [measured.query(whole).iloc[0][same].tolist(), again.query(whole).iloc[0][same].tolist()],
        "table": cohort.table["intermat_percent"].tolist(),
        "asked": people["intermat_percent"].tolist(),
    }"""
    notebook, said = run_notebook("04_from_images_to_measurements", facts)
    quiet(notebook, figures=1)
    assert said["threshold"] == sorted(said["threshold"], reverse=True)
    assert max(said["threshold"]) < 8 < min(said["fraction"])
    np.testing.assert_allclose(said["mixture"], 8, atol=0.3)
    assert said["swapped"] == "review"
    np.testing.assert_allclose(*said["same"])
    # A threshold at coarse voxels reads low, but in the right order.
    assert np.argsort(said["table"]).tolist() == np.argsort(said["asked"]).tolist()


def test_interaction_on_two_scales(run_notebook: Run) -> None:
    facts = """{
        name: {
            measure: [None if np.isnan(value) else value for value in row]
            for measure, row in frame.set_index("estimand").loc[asked, ["lower", "upper"]].T.to_dict("list").items()
        }
        for np in [__import__("numpy")]
        for name, frame in {
            "none": found,
            "some": mb.interaction(stronger, "intermat_z", "lmm_z"),
            "cannot": mb.interaction(small, "intermat_z", "lmm_z"),
        }.items()
    }"""
    notebook, said = run_notebook("05_interaction_on_two_scales", facts)
    quiet(notebook, figures=2)
    lower, upper = said["none"]["ratio of odds ratios"]
    assert lower < 1 < upper
    assert said["none"]["RERI"][0] > 0
    assert said["some"]["ratio of odds ratios"][0] > 1
    lower, upper = said["cannot"]["ratio of odds ratios"]
    assert lower < 1
    assert upper > 2
    assert said["cannot"]["AP"] == said["cannot"]["S"] == [None, None]


def test_your_own_cohort(run_notebook: Run) -> None:
    facts = """{
        "flow": cohort.flow["n_left"].tolist(),
        "n": fit.n,
        "simulated": [fit.simulated, odds.attrs["simulated"]],
        "files": sorted(path.name for path in Path("results").iterdir()),
        "same": mb.odds_ratios(again, terms=["intermat_z"])["text"].item() == odds.set_index("term").loc["intermat_z", "text"],
        "report": "imulated data" in Path("results/report.html").read_text(encoding="utf-8"),
        "of_the_study": mb.load_fit("results/fits/cbp_main/posterior.nc").n,
    }"""
    notebook, said = run_notebook("06_your_own_cohort", facts)
    quiet(notebook, figures=2)
    assert said["flow"][0] == 6_000
    assert said["flow"][1] < 6_000
    assert said["n"] == said["of_the_study"] < said["flow"][1]
    assert said["simulated"] == [True, True]
    assert {"report.html", "tables", "figures", "fits", "flow.csv", "study.lock.json"} <= set(said["files"])
    assert said["same"]
    assert said["report"]


def test_a_new_exposure(run_notebook: Run) -> None:
    facts = """{
        "psoas": odds.set_index("term").loc["psoas_z", ["lower", "upper"]].tolist(),
        "correlation": float(correlation),
        "widths": width,
        "probability": nomogram.predict(person)[["lower", "estimate", "upper"]].iloc[0].tolist(),
    }"""
    notebook, said = run_notebook("07_a_new_exposure_and_model", facts)
    quiet(notebook, figures=3)
    assert said["psoas"][0] < 1 < said["psoas"][1]
    assert said["correlation"] < -0.3
    assert said["widths"]["with psoas fat"] > said["widths"]["without"]
    assert said["probability"] == sorted(said["probability"])
