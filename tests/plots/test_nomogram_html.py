"""The interactive nomogram: its JavaScript computes what Python computes on the same embedded draws."""

import json
import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import muscle_bayes as mb
from muscle_bayes.estimands import nomogram
from muscle_bayes.plots import nomogram_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def made(make_fit):
    return nomogram(make_fit(sd=0.05))


@pytest.fixture(scope="module")
def page(made) -> str:
    return nomogram_html(made, draws=200)


def in_browser(page: str, folder, script: str) -> str:
    """Run a script after the page's own, and return the document."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    path = folder / "nomogram.html"
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    settings = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=3000",
        f"--user-data-dir={folder / 'profile'}",
    ]
    run = subprocess.run(
        [CHROMIUM, *settings, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return run.stdout


def element(document: str, name: str) -> str:
    return unescape(re.search(rf'id="{name}"[^>]*>(.*?)</', document, re.DOTALL)[1])


def test_probabilities_points_and_flags_equal_pythons(made, page, tmp_path) -> None:
    fit = made.fit
    persons = fit.cohort.head(25).copy()
    persons.loc[3, "lmm_cm3_per_kg_m2"] = 45.0
    sites = ["typical", "new", "known"]
    script = """
      const out = PERSONS.map((p) => ({
        ...Object.fromEntries(["typical", "new", "known"].map((s) => [s, Array.from(nomogram.probabilities(p, s, p.site))])),
        points: nomogram.contributions(p).map((c) => c.points),
        contribution: nomogram.contributions(p).map((c) => [c.median, c.lower, c.upper]),
        outside: nomogram.outside(p), summary: nomogram.summary(nomogram.probabilities(p, "typical", "")),
      }));
      document.body.append(Object.assign(document.createElement("pre"), { id: "out", textContent: JSON.stringify(out) }));
    """.replace("PERSONS", json.dumps(persons.to_dict("records")))
    got = json.loads(element(in_browser(page, tmp_path, script), "out"))
    assert len(got) == 25

    kept = np.unique(np.linspace(0, 3999, 200).round().astype(int))
    draws, rows = fit.coefficients()[kept], fit.recipe.matrix(persons)
    eta = draws[:, :1] + draws[:, 1:] @ rows.T
    new = np.random.default_rng([fit.seed, 71]).standard_normal(4000)[kept] * 0.25
    offsets = {
        "typical": 0.0,
        "new": new[:, None],
        "known": fit.site_effects()[kept][:, fit.recipe.site_index(persons)],
    }
    for site in sites:
        ours = expit(eta + offsets[site]).T
        np.testing.assert_allclose([person[site] for person in got], ours, atol=1e-12)
    summary = pd.DataFrame([person["summary"] for person in got])[["median", "lower", "upper"]].astype(float)
    np.testing.assert_allclose(summary, np.quantile(expit(eta), [0.5, 0.025, 0.975], axis=0).T, atol=1e-12)
    np.testing.assert_allclose([person["points"] for person in got], made.system.points(rows), atol=1e-9)
    labels = made.predict(persons)["outside"].str.replace("lmm_z", "LMM").str.replace("intermat_z", "InterMAT")
    assert [", ".join(person["outside"]) for person in got] == labels.tolist()
    assert got[3]["outside"] == ["LMM"]


def test_moving_a_control_changes_the_answer_and_flags_extrapolation(page, tmp_path) -> None:
    script = """
      const before = document.getElementById("probability").textContent;
      const age = document.getElementById("control-age_years");
      age.value = age.max; age.dispatchEvent(new Event("input", { bubbles: true }));
      const lmm = document.getElementById("control-lmm_cm3_per_kg_m2");
      lmm.value = lmm.max; lmm.dispatchEvent(new Event("input", { bubbles: true }));
      setTimeout(() => {
        const words = [before, document.getElementById("probability").textContent, document.getElementById("outside").textContent,
          document.querySelector(".pair input[type=number]").getAttribute("aria-label"),
          document.querySelectorAll("#contributions tbody tr").length, document.querySelectorAll("#distribution rect").length];
        document.body.append(Object.assign(document.createElement("pre"), { id: "out", textContent: JSON.stringify(words) }));
      }, 500);
    """
    before, after, outside, spoken, rows, bars = json.loads(element(in_browser(page, tmp_path, script), "out"))
    assert re.fullmatch(r"\d+ % \(95 % interval \d+ % to \d+ %\)", before)
    assert int(after.split()[0]) > int(before.split()[0])
    assert outside.startswith("Extrapolation: LMM")
    assert spoken == "InterMAT (%), as a number"
    assert rows == 5
    assert bars == 60


def test_the_page_needs_no_network_and_cannot_be_broken_by_its_words(make_fit, tmp_path) -> None:
    fit = make_fit()
    words = {**fit.provenance(), "title": "</script><script>alert(1)</script>", "outcome": "<b>Pain</b>"}
    fit = type("Fit", (), {**vars(fit), "provenance": lambda self: words})()
    source = make_fit()
    for name in ("coefficients", "site_effects", "site_sd", "group_effects", "group_sds", "mcse", "require_converged"):
        setattr(fit, name, getattr(source, name))
    page = nomogram_html(nomogram(fit), tmp_path / "page.html", draws=50)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert "</script><script>alert" not in page
    assert not re.search(r"""(src|href)\s*=|https?://(?!www\.w3\.org/2000/svg)|fetch\(|XMLHttpRequest|import\(""", page)
    assert "default-src 'none'" in page


def test_it_says_what_it_is(page) -> None:
    assert "not for clinical decisions" in page
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert data["simulated"] is True
    assert data["n"] == 2000
    assert [v["unit"] for v in data["variables"][:3]] == ["%", "cm³/(kg/m²)", "years"]
    assert data["site"]["names"] == ["Augsburg", "Berlin", "Essen"]


def test_a_fit_without_sites_has_no_site_control(make_fit) -> None:
    page = nomogram_html(nomogram(make_fit(site=False)), draws=50)
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert data["site"]["names"] == []
    assert data["site"]["default"] == "typical"


def test_curves_and_surfaces_equal_pythons(small_table: pd.DataFrame, tmp_path) -> None:
    model = mb.Model(
        formula="cbp ~ surface(intermat_z, lmm_z, df=2) + ns(sqrt(activity_met_min_week), df=4, bend=1) * sex + log1p(age_years)",
        levels={"sex": ["female", "male"]},
        standardise={"intermat_z": {"from": "intermat_percent"}, "lmm_z": {"from": "lmm_cm3_per_kg_m2"}},
        exposures={"intermat_z": {}, "lmm_z": {"adverse": "low"}},
    )
    smooth_fit = mb.fit(model, small_table, method="ml", seed=1)
    page = nomogram_html(mb.nomogram(smooth_fit), draws=100)
    persons = small_table.head(20).assign(activity_met_min_week=np.linspace(0, 20_000, 20))
    script = """
      const out = PERSONS.map((p) => Array.from(nomogram.probabilities(p, "typical", "")));
      document.body.append(Object.assign(document.createElement("pre"), { id: "out", textContent: JSON.stringify(out) }));
    """.replace("PERSONS", json.dumps(persons.drop(columns="participant_id").to_dict("records")))
    got = np.array(json.loads(element(in_browser(page, tmp_path, script), "out")))
    kept = np.unique(np.linspace(0, 3999, 100).round().astype(int))
    draws = smooth_fit.coefficients()[kept]
    expected = expit(draws[:, :1] + draws[:, 1:] @ smooth_fit.recipe.matrix(persons).T).T
    np.testing.assert_allclose(got, expected, atol=1e-9)
