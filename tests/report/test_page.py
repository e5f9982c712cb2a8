"""The page as a whole: well-formed, self-contained, marked, safe, and silent where a fit failed."""

import dataclasses
import re
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest

from muscle_bayes.inference.diagnostics import Finding
from muscle_bayes.report import Phantoms, tables, write_report

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects what the tests ask about, and checks that every element is closed where it should be."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source, self.open, self.elements, self.text = source, [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.text.append(data)

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))

    def attributes(self, *names):
        return [value for _, attrs in self.elements for name, value in attrs.items() if name in names]


@pytest.fixture(scope="module")
def results(study, item):
    return study(item)


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    return Page(write_report(results, tmp_path_factory.mktemp("page") / "report.html").read_text(encoding="utf-8"))


def real(item):
    """Return a fit as if its data were not simulated."""
    fit = dataclasses.replace(item.fit, simulated=False)
    return dataclasses.replace(
        item, fit=fit, figures={}, tables={k: v for k, v in item.tables.items() if k == "odds_ratios"}
    )


def test_ids_are_unique_and_every_reference_has_its_target(page):
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    inner = [link[1:] for link in page.attributes("href", "xlink:href") if link.startswith("#")]
    inner += [name for value in page.attributes("aria-labelledby") for name in value.split()]
    inner += re.findall(r"url\(#([^)]+)\)", page.source)
    assert len(inner) > 50
    assert set(inner) <= set(ids)


def test_nothing_is_loaded_from_anywhere(page):
    assert not {tag for tag, _ in page.elements} & {"script", "iframe", "object", "embed", "form", "base"}
    for tag, attrs in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "poster", "action"):
            value = attrs.get(name) or ""
            outside = not value.startswith(("#", "data:")) and value != ""
            assert not outside or (tag == "a" and value.startswith("https://doi.org/10.")), (tag, name, value)
    style = re.search(r"<style>(.*?)</style>", page.source, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    # Escaped quotes would make the browser drop the fonts.
    assert '"Liberation Sans"' in style


def test_headings_are_nested_and_tables_say_what_their_cells_are(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") > 5
    assert all(attrs.get("scope") in {"col", "row"} for tag, attrs in page.elements if tag == "th")


def test_every_drawing_is_described_with_its_numbers(page, item):
    drawings = [attrs for tag, attrs in page.elements if attrs.get("class") == "drawing"]
    assert len(drawings) == 6  # three figures, each wide and for a phone
    said = [attrs.get("aria-label") or attrs.get("alt") for attrs in drawings]
    fat = item.tables["odds_ratios"].iloc[0]
    assert said[0] == said[1]
    assert fat["text"] in said[0]
    assert all("%" in words for words in said)


def test_the_key_result_has_the_numbers_of_the_frame(page, item):
    for _, row in item.tables["odds_ratios"].query("role == 'exposure'").iterrows():
        centre, limits = row["text"].rstrip(")").split(" (")
        assert f"{row['label']}: odds ratio {centre}" in page.words or f"odds ratio {centre} per 2 Z" in page.words
        assert f"95 % credible interval {limits}" in page.words
    assert "not a medical device" in page.words


def test_adjustment_terms_stand_apart_from_exposures(page):
    assert "Adjustment terms, not effects." in page.words
    exposures = page.source.split("for the exposures.")[1].split("</table>")[0]
    assert "InterMAT" in exposures
    assert "Osteoporosis" not in exposures


def test_simulated_data_are_marked_on_the_page_and_in_every_caption(page):
    assert 'class="simulated-banner"' in page.source
    captions = re.findall(r"<(?:figcaption|caption)[^>]*>(.*?)</(?:figcaption|caption)>", page.source, re.DOTALL)
    assert len(captions) > 8
    unmarked = [re.sub(r"<[^>]*>", "", caption) for caption in captions if "Simulated data." not in caption]
    # Versions and seeds are no data.
    assert sorted(caption.split(". ")[1] for caption in unmarked) == ["Fits.", "Software."]


def test_tables_in_sight_are_numbered_from_one_without_a_gap(page):
    in_sight = re.sub(r"<details>.*?</details>", "", page.source, flags=re.DOTALL)
    numbers = [int(found) for found in re.findall(r"<caption[^>]*><span>Table (\d+)\.", in_sight)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 5


def test_a_result_is_said_in_words_once(page):
    assert page.words.count("posterior probability of an odds ratio above 1") == 2
    assert page.words.count("went with lower odds") <= 1


def test_real_data_carry_no_such_mark(study, item, tmp_path):
    described = {"dictionary": pd.DataFrame([["cbp", "0/1", "Pain"]], columns=["column", "unit", "description"])}
    results = study(real(item), simulated=False, **described)
    source = write_report(results, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "simulated" not in Page(source).words.lower()
    assert 'class="simulated-banner"' not in source


@pytest.mark.parametrize("only", ["fit", "phantoms"])
def test_one_simulated_part_is_enough_for_the_mark(study, item, tmp_path, only):
    phantoms = Phantoms(pd.DataFrame({"participant_id": ["a"], "image": ["trunk"]})) if only == "phantoms" else None
    results = study(item if only == "fit" else real(item), simulated=False, phantoms=phantoms)
    source = write_report(results, tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'class="simulated-banner"' in source


def test_text_of_a_study_is_never_markup(study, item, tmp_path):
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    model = item.model.model_copy(update={"title": bad, "question": bad, "outcome": bad, "references": [bad]})
    fit = dataclasses.replace(item.fit, model=model)
    flow = pd.DataFrame([["read", bad, 0, 5]], columns=["step", "reason", "n_removed", "n_left"])
    failures = pd.DataFrame(
        [["a", "b", bad, bad, bad]], columns=["participant_id", "session_id", "where", "problem", "remedy"]
    )
    dictionary = pd.DataFrame([[bad, bad, bad]], columns=["column", "unit", "description"])
    hostile = dataclasses.replace(item, name=bad, model=model, fit=dataclasses.replace(fit, flow=flow), problems=(bad,))
    results = study(hostile, name=bad, flow=flow, failures=failures, dictionary=dictionary, notes=(bad, f"`{bad}`"))
    page = Page(write_report(results, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in page.elements}
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert page.words.count("<script>alert(1)</script>") > 10


def test_a_fit_that_failed_its_gate_shows_why_and_no_estimate(study, item, tmp_path):
    reason = "not certified: Pareto k-hat of the importance weights: 0.93, limit 0.7"
    findings = (Finding("failure", reason), *item.fit.diagnostics.findings)
    fit = dataclasses.replace(item.fit, diagnostics=dataclasses.replace(item.fit.diagnostics, findings=findings))
    # The tables and figures are handed in all the same: the page must not use them.
    failed = dataclasses.replace(item, fit=fit)
    page = Page(write_report(study(failed), tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.source.count('class="box failure"') == 2  # in the key result and in its own section
    assert "Pareto k-hat of the importance weights: 0.93, limit 0.7" in page.words
    for shown in (*item.tables["odds_ratios"]["text"], *item.tables["nomogram_scale"]["text"].head(40)):
        assert shown not in page.words
    assert "drawing" not in page.attributes("class")
    assert "credible interval" not in page.words.replace("equal-tailed credible intervals", "")
    assert "Every parameter" not in page.words


def test_a_likelihood_fit_is_reported_beside_the_posterior(study, item, likelihood, tmp_path):
    from muscle_bayes.estimands import odds_ratios
    from muscle_bayes.report import FitResults

    other = FitResults("ml", likelihood.model, likelihood, {"odds_ratios": odds_ratios(likelihood)})
    plain = dataclasses.replace(item, figures={})
    page = Page(write_report(study(plain, other), tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Intercept and site SD beside the maximum-likelihood fit ml." in page.words
    assert "95 % confidence interval" in page.words
    assert "no prior was used" in page.words
    # Both fits are of one model: each heading says which, and the common methods are said once.
    assert f"Results: {item.model.title} (ml)" in page.words
    assert page.words.count("Its log odds were modelled by") == 1
    assert "missing values are those of cbp_interaction." in page.words


def test_a_model_without_exposures_has_a_page_and_no_key_result(study, cohort, tmp_path):
    from muscle_bayes.estimands import odds_ratios
    from muscle_bayes.inference import fit
    from muscle_bayes.report import FitResults
    from muscle_bayes.specification import Model

    plain = fit(Model(formula="diabetes ~ age_years + sex", name="plain"), cohort, method="ml")
    made = FitResults("plain", plain.model, plain, {"odds_ratios": odds_ratios(plain)})
    page = Page(write_report(study(made), tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "no exposure, so there is no key result" in page.words
    assert 'class="cards"' not in page.source
    assert "modelled by logistic regression by maximum likelihood on age and sex. Numeric" in page.words


def test_a_study_without_fits_has_a_page(study, tmp_path):
    page = Page(write_report(study(), tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "No model was fitted." in page.words


def test_problems_of_a_fit_are_said(study, item, tmp_path):
    bare = dataclasses.replace(item, tables={}, figures={}, problems=("No surface: it needs two exposures.",))
    page = Page(write_report(study(bare), tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "No surface: it needs two exposures." in page.words


def test_failures_are_listed_only_where_there_are_any(page, study, item, tmp_path):
    assert "could not be measured" not in page.words
    row = ["p7", "baseline", "p7 water.nii.gz", "corrupt gzip", "Copy the file again"]
    failures = pd.DataFrame([row], columns=["participant_id", "session_id", "where", "problem", "remedy"])
    bare = dataclasses.replace(item, figures={})
    other = Page(write_report(study(bare, failures=failures), tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "1 participant could not be measured" in other.words
    assert "Copy the file again" in other.words


def test_the_same_results_give_the_same_bytes_and_the_default_place_is_the_study_folder(results):
    path = write_report(results)
    assert path == results.out / "report.html"
    first = path.read_bytes()
    assert write_report(results).read_bytes() == first
    assert [p.name for p in results.out.iterdir()] == ["report.html"]


def test_an_amount_and_its_category_are_told_apart_with_the_digits_of_other_tables():
    summary = pd.DataFrame(
        [
            ["activity_met_min_week", "MET-min/week", 0, "median 975.3 (quartiles 128.2, 3023)"],
            ["activity", "", 0, "moderate 12,888, low 10,896"],
            ["intermat_percent", "%", 0, "median 6.653 (quartiles 5.514, 8.007)"],
            ["pain_nrs", "0-10", 0, "median 1 (quartiles 0, 3)"],
        ],
        columns=["column", "unit", "missing", "summary"],
    )
    rows = tables.cohort_table(summary, "").rows
    assert [row[0] for row in rows[:2]] == ["Physical activity", "Physical activity, category"]
    assert [row[2] for row in rows] == [
        "median 975 (quartiles 128 to 3,023)",
        "moderate 12,888, low 10,896",
        "median 6.65 (quartiles 5.51 to 8.01)",
        "median 1 (quartiles 0 to 3)",
    ]
