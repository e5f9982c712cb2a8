"""Phantoms of a demonstration: some members of the simulated cohort are imaged, measured and held against their truth."""

import json
import multiprocessing
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.cohort import Cohort
from muscle_bayes.cohort.exposure import Exposure
from muscle_bayes.cohort.files import file_sha256, whole_file
from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.deliveries import Delivery
from muscle_bayes.report.results import Phantoms
from muscle_bayes.study.drawing import figure_files, save_figure
from muscle_bayes.study.folder import StudyFolder
from muscle_bayes.study.lock import code_version, fingerprint
from muscle_bayes.study.one_scan import finished_scan, measure_person
from muscle_bayes.study.panel import draw_panel, matched_people
from muscle_bayes.study.people import Person
from muscle_bayes.study.scan_settings import ScanSettings

REGIONS = ("trunk", "thigh")
#: Which rows of a measurement are held against which row of the truth.
_COMPARED = {
    "trunk": {"muscle": "autochthonous", "region": "above_gluteals_150mm", "backend": "labelmap"},
    "thigh": {"muscle": "all", "region": "field_of_view", "backend": "hull"},
}
# Three members are those of the images panel; a demonstration of fewer phantoms than this has none.
_ENOUGH = 6
NOTE = (
    "The trunk was measured with the phantom's true labels, the thighs with the backend `hull`, which finds the muscle "
    "compartment without labels; a network that segments the trunk is still to come. The figures say how well measuring "
    "works on simulated images. No measured value has replaced a simulated one in the cohort."
)


@dataclass(frozen=True)
class PhantomPlan:
    """Which phantoms a demonstration makes; called by `run` with the cohort.

    Attributes
    ----------
    n : int
        Number of members of the cohort.
    seed : int
        Of the phantoms.
    workers : int
        Processes that work at the same time; each needs about 1 GB.
    voxel_mm : (3,) tuple of float, optional
        Voxel size; the phantom's default where left out.
    """

    n: int
    seed: int
    workers: int = 1
    voxel_mm: tuple[float, float, float] | None = None

    def __call__(self, cohort: Cohort, folder: StudyFolder) -> Phantoms:
        """Make, measure and compare; or read what was made before from the same cohort and code."""
        out = folder.out
        table_path = out / "tables" / "phantoms.csv"
        settings = {"n": self.n, "seed": self.seed, "voxel_mm": self.voxel_mm}
        code = code_version("simulation", "imaging", "study")
        wanted = fingerprint(file_sha256(out / "cohort.parquet"), settings, code)
        if folder.needs("phantoms", wanted):
            files, names = self._make(cohort, folder, table_path)
            folder.done("phantoms", wanted, files, {"figures": names})
        return recorded_phantoms(folder)

    def _make(self, cohort: Cohort, folder: StudyFolder, table_path: Path) -> tuple[list[Path], dict[str, str]]:
        out = folder.out
        matched = matched_people(cohort) if self.n >= _ENOUGH else None
        tasks = self._tasks(_with_matched(cohort.table, self.n, matched), out)
        folder.progress.start("phantoms", len(tasks))
        if self.workers > 1:
            # Started afresh, not forked: a fork of a process with threads (BLAS, progress bars) can hang.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(min(self.workers, len(tasks)), mp_context=context) as pool:
                rows = self._collect(pool.map(measure_phantom, tasks), folder)
        else:
            rows = self._collect(map(measure_phantom, tasks), folder)
        table = pd.DataFrame(rows)
        with whole_file(table_path) as path:
            table.to_csv(path, index=False)
        from muscle_bayes.study.phantom_figures import agreement_figure

        agreement = save_figure(agreement_figure(table), out / "figures" / "phantoms_agreement")
        folder.progress.finish(f"{len(rows)} images of {self.n} members measured against truth")
        overlays = {f"overlay_{task.region}": task.overlay for task in tasks if task.overlay is not None}
        shown = {"agreement": agreement, **overlays}
        files = [table_path, *figure_files(agreement), *overlays.values()]
        if matched is not None:
            homes = {name: out / "phantoms" / str(name) / "trunk" for name in matched["participant_id"]}
            roles = ("water", "fat", "labels")
            images = {name: {role: home / f"{role}.nii.gz" for role in roles} for name, home in homes.items()}
            shown["images_panel"] = draw_panel(matched, images, out)
            files += figure_files(shown["images_panel"])
        return files, {name: path.relative_to(out).as_posix() for name, path in shown.items()}

    def _tasks(self, members: pd.DataFrame, out: Path) -> list["PhantomTask"]:
        tasks = []
        for number, member in enumerate(members.to_dict(orient="records")):
            # A seed of its own for each member: two phantoms of one body would agree too well.
            seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0] % 2**31)
            for region in REGIONS:
                # The member in the middle of the InterMAT range is the one that is shown.
                shown = number == len(members) // 2
                overlay = out / "figures" / f"phantom_{region}.png" if shown else None
                home = out / "phantoms" / str(member["participant_id"]) / region
                known = {str(key): value for key, value in member.items()}
                tasks.append(PhantomTask(known, region, seed, home, overlay, self.voxel_mm))
        return tasks

    @staticmethod
    def _collect(rows: Iterable[dict[str, Any]], folder: StudyFolder) -> list[dict[str, Any]]:
        collected = []
        for row in rows:
            collected.append(row)
            folder.progress.advance(f"{row['participant_id']} {row['image']}")
        return collected


@dataclass(frozen=True)
class PhantomTask:
    """One phantom to be made and measured.

    Attributes
    ----------
    member : dict
        Row of the cohort.
    region : {"trunk", "thigh"}
        What is imaged.
    seed : int
        Of the phantom.
    home : pathlib.Path
        Folder of its files.
    overlay : pathlib.Path or None
        Where to draw what was measured.
    voxel_mm : (3,) tuple of float or None
        Voxel size.
    """

    member: Mapping[str, Any]
    region: str
    seed: int
    home: Path
    overlay: Path | None
    voxel_mm: tuple[float, float, float] | None


def measure_phantom(task: PhantomTask) -> dict[str, Any]:
    """Make a phantom, measure it, and return measured beside true figures.

    Parameters
    ----------
    task : PhantomTask
        Whose phantom, of what.

    Returns
    -------
    dict
        One row of tables/phantoms.csv.
    """
    member, compared = task.member, _COMPARED[task.region]
    files, truth = saved_phantom(task)
    if task.region == "thigh":
        del files["labels"]
    bmi = float(member["bmi_kg_m2"])
    person = Person(str(member["participant_id"]), str(member["session_id"]), bmi, simulated=True)
    settings = ScanSettings(Exposure(muscle=compared["muscle"]), compared["backend"])
    delivery = Delivery(person.participant_id, person.session_id, "nifti", {role: (p,) for role, p in files.items()})
    measured = None
    if task.overlay is None or task.overlay.is_file():
        measured = finished_scan(delivery, person, task.home, settings)
    if measured is None:
        measured = measure_person(delivery, person, task.home, settings, overlay=task.overlay)
    table = measured.table
    rows = (table["muscle"] == compared["muscle"]) & (table["region"] == compared["region"]) & (table["side"] == "both")
    found = table[rows].iloc[0]
    true = truth[(truth["muscle"] == compared["muscle"]) & (truth["side"] == "both")].iloc[0]
    return {
        "participant_id": person.participant_id,
        "image": task.region,
        "muscle": compared["muscle"],
        "backend": compared["backend"],
        "voxel_mm3": found["voxel_mm3"],
        "qc": found["qc"],
        "undefined_percent": found["undefined_percent"],
        "intermat_percent_true": true["intermat_percent"],
        "intermat_percent": found["intermat_threshold_percent"],
        "intermat_fraction_percent": found["intermat_fraction_percent"],
        "intermat_mixture_percent": found["intermat_mixture_percent"],
        "compartment_cm3_true": true["compartment_cm3"],
        "compartment_cm3": found["compartment_cm3"],
        "lean_cm3_true": true["lean_cm3"],
        "lean_cm3": found["lean_threshold_cm3"],
        "lmm_cm3_per_kg_m2_true": true["lean_cm3"] / bmi,
        "lmm_cm3_per_kg_m2": found["lean_threshold_cm3"] / bmi,
        "simulated": 1,
    }


def recorded_phantoms(folder: StudyFolder) -> Phantoms:
    """Return the phantoms that a demonstration has recorded in a study's folder.

    Parameters
    ----------
    folder : StudyFolder
        Whose lock has the stage `phantoms`.

    Returns
    -------
    Phantoms
        Table, figures and note.
    """
    names = folder.lock.facts("phantoms")["figures"]
    table = pd.read_csv(folder.out / "tables" / "phantoms.csv", dtype={"participant_id": "str"})
    table.attrs["simulated"] = True
    return Phantoms(table, {name: folder.out / path for name, path in names.items()}, NOTE)


def choose_members(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """Choose members who span the range of InterMAT, women and men in turn, site by site.

    Parameters
    ----------
    table : pandas.DataFrame
        Of a cohort with intermat_percent, lmm_cm3_per_kg_m2, bmi_kg_m2, sex and site.
    n : int
        How many.

    Returns
    -------
    pandas.DataFrame
        n rows, ordered by InterMAT: of the sex and site whose turn it is, the person nearest to quantile (k + 1/2) / n.

    Raises
    ------
    InvalidValueError
        Where the table has fewer rows.
    """
    needed = ["intermat_percent", "lmm_cm3_per_kg_m2", "bmi_kg_m2", "sex", "site"]
    complete = table.dropna(subset=needed)
    if len(complete) < n:
        raise InvalidValueError(
            "phantoms",
            f"{n} members were asked for and the cohort has {len(complete)} with known muscle",
            "Ask for fewer",
        )
    sites = sorted(complete["site"].unique())
    taken: list[Any] = []
    for k in range(n):
        target = float(complete["intermat_percent"].quantile((k + 0.5) / n))
        free = complete.drop(index=taken)
        turn = free[(free["sex"] == ("female", "male")[k % 2]) & (free["site"] == sites[k % len(sites)])]
        pool = turn if len(turn) else free
        taken.append((pool["intermat_percent"] - target).abs().idxmin())
    return complete.loc[taken].sort_values("intermat_percent")


def _with_matched(table: pd.DataFrame, n: int, matched: pd.DataFrame | None) -> pd.DataFrame:
    """Return n members: those of the images panel, and others who span the range, ordered by InterMAT."""
    if matched is None:
        return choose_members(table, n)
    shown = table[table["participant_id"].isin(matched["participant_id"])]
    others = choose_members(table.drop(index=shown.index), n - len(shown))
    return pd.concat([shown, others]).sort_values("intermat_percent")


def saved_phantom(task: PhantomTask) -> tuple[dict[str, Path], pd.DataFrame]:
    """Make a member's phantom and write its images and truth, or take those that were made from the same request.

    Parameters
    ----------
    task : PhantomTask
        Whose phantom, of what.

    Returns
    -------
    files : dict of str to pathlib.Path
        water, fat, labels.
    truth : pandas.DataFrame
        True figures of every muscle.
    """
    member, home = task.member, task.home
    request: dict[str, Any] = {
        "region": task.region,
        **{name: float(member[name]) for name in ("intermat_percent", "lmm_cm3_per_kg_m2", "bmi_kg_m2")},
        **{name: str(member[name]) for name in ("sex", "site")},
        "seed": task.seed,
    }
    if task.voxel_mm is not None:
        request["voxel_mm"] = task.voxel_mm
    files = {role: home / f"{role}.nii.gz" for role in ("water", "fat", "labels")}
    truth_path, made_path = home / "truth.tsv", home / "made.json"
    wanted = fingerprint(request, code_version("simulation"))
    try:
        made = json.loads(made_path.read_text(encoding="utf-8"))
        whole = made["fingerprint"] == wanted and all(file_sha256(home / n) == h for n, h in made["files"].items())
    except (OSError, ValueError, KeyError):
        whole = False
    if not whole:
        from muscle_bayes.simulation import simulate_phantom

        written = simulate_phantom(**request).save(home)
        # In- and opposed-phase are what water and fat were made from; nothing here reads them again.
        for role in ("in", "opp"):
            written[role].unlink()
        hashes = {p.name: file_sha256(p) for p in (*files.values(), truth_path)}
        with whole_file(made_path) as path:
            path.write_text(json.dumps({"fingerprint": wanted, "request": request, "files": hashes}, indent=2) + "\n")
    return files, pd.read_csv(truth_path, sep="\t")
