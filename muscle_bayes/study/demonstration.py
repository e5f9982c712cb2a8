"""`demo`: the whole way on simulated data, from a cohort and phantom images to a report."""

from pathlib import Path

from muscle_bayes.cohort.files import whole_file
from muscle_bayes.errors import StudyFileError
from muscle_bayes.study.folder import StudyRun
from muscle_bayes.study.phantoms import PhantomPlan
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.running import run
from muscle_bayes.study.settings import load_study
from muscle_bayes.study.simulating import write_cohort

FULL = {"participants": 27_518, "phantoms": 12}
QUICK = {"participants": 3_000, "phantoms": 2}
DEMO_FOLDER = "muscle-bayes-demo"

_STUDY = """\
# The demonstration of muscle_bayes. Every row of participants.csv is SIMULATED: no row is a person.
# `muscle-bayes run study.toml` makes tables, figures and report again from participants.csv; `muscle-bayes demo` made it.

[study]
name = "Demonstration on a simulated cohort"
seed = {seed}
out = "."

[participants]
file = "participants.csv"

[[fits]]
model = "cbp_interaction"

[[fits]]                          # beside the first: the same exposures on the intensity of pain
model = "pain_nrs4"
estimates = ["odds_ratios"]
"""


def demonstrate(
    out: Path | str = DEMO_FOLDER,
    *,
    seed: int = 1,
    quick: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> StudyRun:
    """Simulate a cohort, image and measure some of its members, fit the interaction model, write everything.

    Parameters
    ----------
    out : path
        Folder of the results.
    seed : int
        Of cohort, phantoms and fit.
    quick : bool
        3,000 participants and 2 members with phantoms in place of 27,518 and 12.
    workers : int
        Processes that make and measure phantoms at the same time. A script that asks for more than one needs
        `if __name__ == "__main__":` around the call, as multiprocessing does everywhere.
    progress : Progress, optional
        Told what happens.

    Returns
    -------
    StudyRun
        As of `run`; a second call with the same arguments does nothing again.

    Raises
    ------
    StudyFileError
        Where the folder holds a study that is none of this demonstration's.
    """
    out = Path(out).resolve()
    progress = progress or Progress()
    size = QUICK if quick else FULL
    text = _STUDY.format(seed=seed)
    settings, participants = out / "study.toml", out / "participants.csv"
    if settings.is_file() and "The demonstration of muscle_bayes" not in settings.read_text(encoding="utf-8"):
        raise StudyFileError(
            str(settings), "The folder holds a study of your own", "Give the demonstration another --out"
        )
    progress.start("cohort simulation")
    write_cohort(participants, n=size["participants"], seed=seed, complete=True, interaction=0.0)
    with whole_file(settings) as path:
        path.write_text(text, encoding="utf-8")
    progress.finish(f"{size['participants']:,} participants")
    plan = PhantomPlan(size["phantoms"], seed, workers)
    return run(load_study(settings), progress=progress, phantoms=plan)
