"""The images panel: participants matched on lean muscle at three percentiles of InterMAT, from the images that were measured."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from muscle_bayes.cohort import Cohort
from muscle_bayes.errors import MuscleBayesError
from muscle_bayes.imaging.deliveries.patterns import files_of
from muscle_bayes.study.drawing import WIDTHS, save_figure
from muscle_bayes.study.folder import StudyFolder
from muscle_bayes.study.lock import code_version, fingerprint
from muscle_bayes.study.measuring import Measured
from muscle_bayes.study.people import people_of

if TYPE_CHECKING:
    import pandas as pd

STAGE = "images panel"


def matched_people(cohort: Cohort, among: Collection[str] | None = None) -> "pd.DataFrame | None":
    """Choose three participants of equal lean muscle, or nobody where none agree within the tolerances.

    Parameters
    ----------
    cohort : Cohort
        Of the study.
    among : collection of participant_id, optional
        Who has images.

    Returns
    -------
    pandas.DataFrame or None
        Of `select_matched`.
    """
    from muscle_bayes.estimands import select_matched

    try:
        return select_matched(cohort, among=among)
    except MuscleBayesError:
        return None


def draw_panel(chosen: "pd.DataFrame", images: Mapping[str, Mapping[str, Path]], out: Path) -> Path:
    """Draw the panel in both print widths.

    Parameters
    ----------
    chosen : pandas.DataFrame
        Of `select_matched`.
    images : mapping of participant_id to mapping of role to path
        Water, fat and labels of each.
    out : pathlib.Path
        Folder of the study's results.

    Returns
    -------
    pathlib.Path
        The SVG of the wider one.
    """
    from muscle_bayes import plots

    drawn = [
        save_figure(plots.images_panel(chosen, images, width_mm=width), out / "figures" / f"images_panel{ending}")
        for width, ending in WIDTHS.items()
    ]
    return drawn[0]


def panel_of_scans(folder: StudyFolder, cohort: Cohort, measured: Measured | None) -> dict[str, Path]:
    """Draw the panel of a study that measured its own images.

    Parameters
    ----------
    folder : StudyFolder
        Of the study.
    cohort : Cohort
        After exclusions.
    measured : Measured or None
        What the images gave; None without images.

    Returns
    -------
    dict of str to pathlib.Path
        ``images_panel`` -> the SVG; empty where there is nothing to show: no images, single contrasts, no label maps, or no
        three people who agree in lean muscle.
    """
    study, out = folder.study, folder.out
    if measured is None or study.images is None or study.images.format != "nifti":
        return {}
    if not {"water", "fat", "labels"} <= set(study.images.patterns):
        return {}
    # Labels of another tool need its scheme, which the figure does not read.
    chosen = matched_people(cohort, set(measured.table["participant_id"])) if study.images.scheme is None else None
    if chosen is None:
        return {}
    names = chosen["participant_id"].tolist()
    people = [person for person in people_of(cohort.table) if person.participant_id in names]
    root = study.resolve(study.images.root)
    images = {
        person.participant_id: files_of(root, study.images.patterns, person.participant_id, person.session_id)
        for person in people
    }
    stamps = {
        name: {role: (path.name, path.stat().st_size, path.stat().st_mtime_ns) for role, path in files.items()}
        for name, files in images.items()
    }
    wanted = fingerprint(folder.lock.outputs("cohort"), stamps, code_version("plots", "imaging", "estimands"))
    path = out / "figures" / "images_panel.svg"
    if folder.needs(STAGE, wanted):
        from muscle_bayes.study.drawing import figure_files

        folder.progress.start(STAGE)
        try:
            draw_panel(chosen, images, out)
            files = figure_files(path)
        except MuscleBayesError as error:
            # A picture that cannot be drawn never stops a study.
            folder.progress.warn(f"images panel: {error.problem}")
            files = []
        folder.done(STAGE, wanted, files, {"drawn": bool(files)})
        folder.progress.finish("three participants" if files else "not drawn")
    return {"images_panel": path} if folder.lock.facts(STAGE).get("drawn") else {}
