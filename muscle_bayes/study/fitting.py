"""The stages of one fit: posterior and diagnostics, estimand tables, sensitivity where asked for, figures."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from muscle_bayes.cohort import Cohort
from muscle_bayes.cohort.files import file_sha256, whole_file
from muscle_bayes.report.results import FitResults
from muscle_bayes.study.drawing import draw_figures, figure_files, write_nomogram_page
from muscle_bayes.study.estimating import ESTIMATES, estimate, keep_frames, write_tables
from muscle_bayes.study.folder import StudyFolder
from muscle_bayes.study.frames import read_frame
from muscle_bayes.study.lock import code_version, fingerprint
from muscle_bayes.study.settings import FitSection, SensitivitySection

if TYPE_CHECKING:
    from muscle_bayes.inference import Fit
    from muscle_bayes.specification import Model


def fit_model(
    model: "Model",
    cohort: Cohort,
    folder: Path,
    *,
    method: str,
    seed: int,
    overlaps_nako: bool = False,
    force_published: bool = False,
) -> tuple["Fit", list[Path]]:
    """Fit a model and write posterior.nc and diagnostics.json.

    Parameters
    ----------
    model : Model
        With the priors that are wanted.
    cohort : Cohort
        Raw units.
    folder : pathlib.Path
        `fits/NAME`.
    method : {"auto", "nuts", "laplace", "ml"}
        Engine.
    seed : int
        Seed of the fit.
    overlaps_nako, force_published : bool
        Whether the `published` priors come from the same people, and whether they are taken all the same; see `mb.fit`.

    Returns
    -------
    fit : Fit
        Whether or not it passed its gate.
    files : list of pathlib.Path
        What was written.
    """
    from muscle_bayes.inference import fit as fit_to

    fit = fit_to(
        model,
        cohort,
        method=method,  # type: ignore[arg-type]
        seed=seed,
        overlaps_nako=overlaps_nako,
        force_published=force_published,
    )
    posterior = fit.save(folder / "posterior.nc")
    described = {
        "model": model.name,
        "method": fit.method,
        "seed": seed,
        "passed": fit.diagnostics.passed,
        "findings": [{"kind": finding.kind, "text": finding.text} for finding in fit.diagnostics.findings],
        "measures": fit.diagnostics.measures,
        "parameters": json.loads(fit.diagnostics.parameters.reset_index().to_json(orient="records")),
    }
    with whole_file(folder / "diagnostics.json") as path:
        path.write_text(json.dumps(described, indent=2, ensure_ascii=False, default=_plain) + "\n", encoding="utf-8")
    return fit, [posterior, folder / "diagnostics.json"]


def _plain(value: Any) -> Any:
    """Return a NumPy scalar or array as JSON."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


@dataclass
class MadeFit:
    """One fit of a run with what was made of it; what was kept is read only when somebody needs it.

    Attributes
    ----------
    section : FitSection
        What study.toml asks for.
    model : Model
        What was fitted.
    load : callable
        Returns the fit.
    gate : str
        Why the fit failed its gate; empty where it passed.
    files : dict of str to str
        Files that later stages read -> SHA-256.
    frames : dict of str to pathlib.Path
        Estimands -> where they are kept.
    figures : dict of str to pathlib.Path
        Name -> SVG.
    problems : tuple of str
        Why estimates are not there.
    """

    section: FitSection
    model: "Model"
    load: Callable[[], "Fit"]
    gate: str
    files: dict[str, str]
    frames: dict[str, Path]
    figures: dict[str, Path]
    problems: tuple[str, ...]

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The estimand frames, read from disk."""
        return {name: read_frame(path) for name, path in self.frames.items()}

    def results(self) -> FitResults:
        """Return everything of the fit for the report."""
        return FitResults(self.section.label, self.model, self.load(), self.tables, self.figures, self.problems)


def make_fit(
    folder: StudyFolder,
    cohort: Cohort,
    section: FitSection,
    model: "Model",
    sensitivity: SensitivitySection | None = None,
) -> MadeFit:
    """Fit one model, then make its estimates and figures, each only where something that it depends on has changed.

    Parameters
    ----------
    folder : StudyFolder
        Of the results.
    cohort : Cohort
        Raw units, as kept in the folder.
    section : FitSection
        What study.toml asks for.
    model : Model
        With the priors that are wanted.
    sensitivity : SensitivitySection, optional
        Where this fit's sensitivity is asked for.

    Returns
    -------
    MadeFit
        Without estimates where the fit failed its gate.
    """
    label, out = section.label, folder.out
    load, gate = _posterior(folder, cohort, section, model)
    posterior = folder.lock.outputs(f"fit {label}")
    frames, problems = _estimates(folder, cohort, section, load, posterior)
    files = posterior | folder.lock.outputs(f"estimates {label}")
    if sensitivity is not None and not gate:
        found, problem = _sensitivity(folder, cohort, label, sensitivity, load, posterior)
        frames |= found
        problems += problem
        files |= folder.lock.outputs(f"sensitivity {label}")

    made = MadeFit(section, model, load, gate, files, frames, {}, tuple(problems))
    stage = f"figures {label}"
    wanted = fingerprint(files, code_version("plots"))
    if folder.needs(stage, wanted):
        folder.progress.start(stage)
        drawn = draw_figures(made.tables, label, out)
        written = [path for svg in drawn.values() for path in figure_files(svg)]
        if "nomogram_scale" in frames:
            written += write_nomogram_page(load(), label, out)
        names = {name: svg.relative_to(out).as_posix() for name, svg in drawn.items()}
        folder.done(stage, wanted, written, {"figures": names})
        folder.progress.finish(f"{len(drawn)} figures")
    made.figures = {name: out / svg for name, svg in folder.lock.facts(stage).get("figures", {}).items()}
    made.files = files | folder.lock.outputs(stage)
    return made


def _posterior(
    folder: StudyFolder, cohort: Cohort, section: FitSection, model: "Model"
) -> tuple[Callable[[], "Fit"], str]:
    """Fit, or leave what an earlier run fitted; return how to get the fit, and why it failed its gate."""
    label, home = section.label, folder.out / "fits" / section.label
    engine: dict[str, Any] = {
        "method": section.method,
        "seed": folder.study.study.seed,
        "overlaps_nako": folder.study.study.overlaps_nako,
        "force_published": section.force_published,
    }
    settings = {"model": model.model_dump(mode="json", by_alias=True), **engine}
    table_hash = file_sha256(folder.out / "cohort.parquet")
    stage, wanted = f"fit {label}", fingerprint(table_hash, settings, code_version("specification", "inference"))
    loaded: list[Fit] = []
    if folder.needs(stage, wanted):
        folder.progress.start(f"fit {label} ({section.method})")
        fit, files = fit_model(model, cohort, home, **engine)
        failures = "; ".join(finding.text for finding in fit.diagnostics.findings if finding.kind == "failure")
        gate = "" if fit.diagnostics.passed else failures
        folder.done(stage, wanted, files, {"gate": gate})
        folder.progress.finish(f"{fit.method}, n = {fit.n:,}" + (", failed its gate" if gate else ""))
        loaded.append(fit)

    def load() -> "Fit":
        if not loaded:
            from muscle_bayes.inference import load_fit

            loaded.append(load_fit(home / "posterior.nc", cohort=cohort))
        return loaded[0]

    return load, str(folder.lock.facts(stage).get("gate", ""))


def _estimates(
    folder: StudyFolder, cohort: Cohort, section: FitSection, load: Callable[[], "Fit"], posterior: dict[str, str]
) -> tuple[dict[str, Path], list[str]]:
    """Make the estimand tables; return where their frames are kept, and what could not be made."""
    label, out = section.label, folder.out
    names = ESTIMATES if section.estimates is None else section.estimates
    stage = f"estimates {label}"
    wanted = fingerprint(posterior, [*names, "flow"], code_version("estimands"))
    if folder.needs(stage, wanted):
        folder.progress.start(stage, len(names))
        made = estimate(load(), cohort, names, told=folder.progress.advance)
        # Who was analysed, to the complete cases of this model: told of a fit that failed its gate as well.
        flow = load().flow.copy()
        flow.attrs["simulated"] = cohort.simulated
        files = write_tables(made.tables | {"flow": flow}, label, out)
        files += keep_frames(made.tables, out / "fits" / label / "estimates")
        folder.done(stage, wanted, files, {"tables": list(made.tables), "problems": made.problems})
        folder.progress.finish(f"{len(made.tables)} tables")
    facts = folder.lock.facts(stage)
    kept = {name: out / "fits" / label / "estimates" / f"{name}.parquet" for name in facts.get("tables", [])}
    return kept, list(facts.get("problems", []))


def _sensitivity(
    folder: StudyFolder,
    cohort: Cohort,
    label: str,
    settings: SensitivitySection,
    load: Callable[[], "Fit"],
    posterior: dict[str, str],
) -> tuple[dict[str, Path], list[str]]:
    """Refit under every specification that study.toml asks for; the longest stage, so that it stands for itself."""
    out, stage, home = folder.out, f"sensitivity {label}", folder.out / "fits" / label
    wanted = fingerprint(posterior, settings.arguments(), code_version("specification", "inference", "estimands"))
    if folder.needs(stage, wanted):
        from muscle_bayes.errors import EstimandError
        from muscle_bayes.estimands import sensitivity

        folder.progress.start(stage)
        try:
            # What is refitted is kept as it comes, so that a run that was stopped goes on from there.
            table = sensitivity(
                load(),
                cohort,
                **settings.arguments(),
                results=home / "sensitivity.jsonl",
                progress=lambda done, total: folder.progress.advance(f"{done} of {total}"),
            )
            tables, problems = {"sensitivity": table}, []
        except EstimandError as error:
            tables, problems = {}, [f"No sensitivity: {error}"]
        files = write_tables(tables, label, out) + keep_frames(tables, home / "estimates")
        files += [path for path in (home / "sensitivity.jsonl",) if path.is_file()]
        folder.done(stage, wanted, files, {"tables": list(tables), "problems": problems})
        told = [f"{table.attrs.get('specifications', 0)} specifications" for table in tables.values()]
        folder.progress.finish(", ".join(told) or "not made")
    facts = folder.lock.facts(stage)
    kept = {name: out / "fits" / label / "estimates" / f"{name}.parquet" for name in facts.get("tables", [])}
    return kept, list(facts.get("problems", []))
