"""study.toml: every key is checked, and a wrong one gets the nearest right one."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muscle_bayes.errors import StudyFileError
from muscle_bayes.study.settings import Study, load_study, study_from

BASE = '[study]\nname = "x"\n[participants]\nfile = "p.csv"\n[[fits]]\nmodel = "cbp_main"\n'


def parse(text: str) -> Study:
    return study_from(tomllib.loads(text), folder=Path("/data"))


def test_defaults_and_paths() -> None:
    study = parse(BASE)
    assert study.study.seed == 1
    assert study.out == Path("/data/results").resolve()
    assert study.resolve(study.participants.file) == Path("/data/p.csv").resolve()
    assert [fit.label for fit in study.fits] == ["cbp_main"]
    assert study.fits[0].method == "auto"
    assert study.missing.policy == "complete_cases"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BASE + 'metod = "ml"\n', r"\[\[fits\]\] number 1, metod: Unknown key 'metod'\. Perhaps you meant 'method'"),
        (BASE + '[exposures]\nmuscle = "all"\n', "Unknown key 'exposures'. Perhaps you meant 'exposure'"),
        (BASE + '[exposure]\nadipos = "x"\n', r"\[exposure\] adipos: .*'adipose'"),
        (BASE + '[participants.columns.sex]\ncolumn = "g"\nvalue = {}\n', r"columns\.sex\.value: .*'values'"),
        (BASE + 'method = "mcmc"\n', r"'auto', 'nuts', 'laplace', 'pymc' or 'ml' \(got 'mcmc'\)"),
        (BASE + '[[fits]]\nmodel = "cbp_main"\n', "two fits are called 'cbp_main'"),
        (BASE + '[measurements]\nfile = "m"\n[images]\nroot = "i"\nimage = "a"\nbackend = "hull"\n', "both given"),
        (BASE + '[images]\nroot = "i"\nwater = "w"\n', "water and fat belong together"),
        (BASE + '[images]\nroot = "i"\nwater = "w"\nfat = "f"\n', "needs labels"),
        (BASE + '[images]\nroot = "i"\nwater = "w"\nfat = "f"\nbackend = "hull"\nlabels = "l"\n', "take labels out"),
        (BASE + '[[exclusions]]\nname = "a"\ncolumn = "b"\nop = "=<"\nvalue = 1\n', "number 1, op"),
        (BASE.replace('name = "x"', 'name = ""'), r"\[study\] name"),
        (BASE.replace('file = "p.csv"', ""), r"\[participants\] file: This is missing"),
        (BASE + 'name = "../out"\n', r"number 1, name"),
        ('folder = "/"\n' + BASE, "Unknown key"),
        ("str = 1\n" + BASE, "Unknown key 'str'"),
        (BASE + '[[exclusions]]\nname = "a"\ncolumn = "b"\nop = "in"\nvalue = [[1]]\n', "number 1, value"),
    ],
)
def test_broken_rules_are_named(text: str, expected: str) -> None:
    with pytest.raises(StudyFileError, match=expected):
        parse(text)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ('format = "bidz"\nbackend = "bundle"', "'nifti', 'bids', 'nako', 'ukb20201' or 'dicom'"),
        ('format = "bids"\nbackend = "hull"\nweights = "w"', "has no weights"),
        ('format = "bids"\nbackend = "nnunet"', "needs weights"),
        ('format = "bids"\nbackend = "bundle"\nlabels = "l"', "take labels out"),
        ('format = "bids"\nbackend = "bundle"\nscheme = "mrsegmentator"', "take scheme out"),
        ('format = "bids"\ndevice = "cuda"', "runs no network"),
        ('format = "bids"\nbackend = "bundle"\ndevice = "gpu"', "device"),
        ('format = "bids"\nbackend = "nnunet"\nweights = "w"\nuncertainty = true', "no standard deviations"),
        ('format = "bids"\nworkers = 0', "workers"),
        ('format = "bids"\nquality = false\nrepair_swap = true', "rests on the checks"),
        ('format = "bids"\nworker = 2', "'workers'"),
        ('format = "nifti"\nbackend = "bundle"', "give water and fat"),
        ('format = "bids"\nbackend = "bundle"\n[images.tool]\ntimeout_s = 5', 'for "nnunet" and'),
        ('format = "bids"\nbackend = "bundle"\ntimeout_s = 5', r"'timeout_s'\. It belongs under \[images\.tool\]"),
        (
            'format = "bids"\nbackend = "bundle"\nrepeats = "last"',
            r"\[images\.settings\] \(format nako or ukb20201 or dicom",
        ),
        ('format = "bids"\nbackend = "bundle"\nseed = 5', r"It belongs under \[study\], or perhaps you meant 'scheme'"),
        ('format = "bids"\nbackend = "nnunet"\nweights = "w"\n[images.tool]\ntimeout = 5', "'timeout_s'"),
    ],
)
def test_keys_of_images_that_do_not_go_together_are_refused(keys: str, expected: str) -> None:
    with pytest.raises(StudyFileError, match=expected):
        parse(BASE + f'[images]\nroot = "i"\n{keys}\n')


def test_formats_find_water_and_fat_themselves() -> None:
    text = (
        '[images]\nroot = "i"\nformat = "dicom"\nbackend = "bundle"\nworkers = 4\n[images.settings]\nrepeats = "last"\n'
    )
    images = parse(BASE + text).images
    assert images is not None
    assert images.patterns == {}
    assert images.settings == {"repeats": "last"}
    assert images.quality


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(StudyFileError, match="3 problems") as caught:
        parse('[study]\nnam = "x"\n[participants]\nfile = "p"\n[[fits]]\nmodel = "m"\nmethod = "?"\n')
    for part in ("[study] name", "'nam'", "[[fits]] number 1, method"):
        assert part in str(caught.value)


def test_no_file_and_no_toml(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="no such file"):
        load_study(tmp_path)
    (tmp_path / "study.toml").write_text("[study\n")
    with pytest.raises(StudyFileError, match="no TOML file"):
        load_study(tmp_path)


@example({"str": 0})
@example({"participants": {"file": "p", "columns": {"str": {"str": 1}}}})
@given(st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers()))))
def test_whatever_is_written_gives_a_study_or_a_study_file_error(content: dict[str, object]) -> None:
    with pytest.raises(StudyFileError):
        study_from(content, folder=Path("/data"))


def test_a_placeholder_that_is_none_is_refused_before_anybody_is_looked_for() -> None:
    from muscle_bayes.study.images_settings import ImagesSection

    with pytest.raises(ValueError, match=r"water holds \{pid\}, which is no placeholder: write \{participant_id\}"):
        ImagesSection(
            root="x", water="{pid}_water.nii.gz", fat="{participant_id}_fat.nii.gz", labels="{participant_id}.nii"
        )
