"""Words and numbers that `quantify` refuses before it opens an image."""

import pytest

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging import quantify


@pytest.mark.parametrize(
    "options",
    [
        {"adipose": "otsu"},
        {"compartment": "skin"},
        {"backend": "magic"},
        {"region": "l3"},
        {"bmi": 0.0},
        {"bmi": 2500.0},
    ],
)
def test_unknown_words_and_impossible_bmi(options):
    with pytest.raises(InvalidValueError, match=next(iter(options))):
        quantify(**options)


def test_an_impossible_bmi_names_the_participant_where_there_is_one():
    with pytest.raises(InvalidValueError, match=r"^bmi: 245 is not"):
        quantify(bmi=245)
    with pytest.raises(InvalidValueError, match=r"^bmi of participant 'p7': 245 is not"):
        quantify(bmi=245, participant_id="p7")
