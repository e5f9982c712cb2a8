"""Whose examinations a study measures: those of the session that it analyses, or those of several visits."""

import pandas as pd

from muscle_bayes.cohort import read_cohort
from muscle_bayes.cohort.names import apply_mapping, missing_column
from muscle_bayes.cohort.tables import identifiers, read_table
from muscle_bayes.errors import DuplicateKeyError, InvalidValueError, StudyFileError
from muscle_bayes.study.people import Person, people_of
from muscle_bayes.study.settings import Study
from muscle_bayes.study.withdrawn import Withdrawn


def people_of_study(study: Study) -> list[Person]:
    """Return whose scans are measured, without those who withdrew.

    Parameters
    ----------
    study : Study
        With its table.

    Returns
    -------
    list of Person
        One for each row of `participants_measured`.
    """
    withdrawn = Withdrawn(study.out)
    people = people_of(participants_measured(study))
    return [person for person in people if not withdrawn.holds(person.participant_id, person.session_id)]


def participants_measured(study: Study) -> pd.DataFrame:
    """Return the rows of the participants' table whose images are measured.

    Parameters
    ----------
    study : Study
        `[images] sessions` says which; without it the session of [exposure], and without that the only one there is.

    Returns
    -------
    pandas.DataFrame
        Canonical and validated; participants in the order of the table, their sessions in the order asked for.

    Raises
    ------
    DuplicateKeyError
        Where participants have several sessions and nobody said which.
    InvalidValueError
        Where a session is not in the table.
    """
    asked = study.images.sessions if study.images is not None else None
    if asked is None:
        try:
            return _of_session(study, study.exposure.session if study.exposure else None)
        except DuplicateKeyError as error:
            if "further sessions" not in error.problem:
                raise
            remedy = 'Say which under [exposure], such as session = "..."; to measure all, add sessions = "all" under [images]'
            raise type(error)(error.where, error.problem, remedy) from error
    there = sessions_of(study)
    wanted = there if asked == ("all",) else list(dict.fromkeys(asked))
    absent = [name for name in wanted if name not in there]
    if absent:
        raise InvalidValueError(
            "study.toml, [images] sessions",
            f"No participant has the session {absent[0]!r} (there is {', '.join(map(repr, there[:8])) or 'none'})",
            "Write them as the table does",
        )
    tables = [_of_session(study, name) for name in wanted]
    first = {name: place for place, name in enumerate(dict.fromkeys(pd.concat(tables)["participant_id"]))}
    together = pd.concat(tables, ignore_index=True)
    order = together["participant_id"].map(first).sort_values(kind="stable").index
    return together.loc[order].reset_index(drop=True)


def require_one_session(study: Study) -> None:
    """Refuse to analyse several sessions of one person, before anything is measured.

    Parameters
    ----------
    study : Study
        With [images].

    Raises
    ------
    StudyFileError
        Where several sessions are measured and [exposure] names none.
    """
    if study.exposure is not None and study.exposure.session is not None:
        return
    if participants_measured(study)["participant_id"].duplicated().any():
        raise StudyFileError(
            "study.toml, [exposure] session",
            f"Several sessions of one person are measured ({', '.join(map(repr, sessions_of(study)))}), and the analysis "
            "takes one row a person",
            'Say which one is analysed: [exposure] session = "..."',
        )


def sessions_of(study: Study) -> list[str]:
    """Return the sessions of the participants' table.

    Parameters
    ----------
    study : Study
        With its table.

    Returns
    -------
    list of str
        In the order in which they first occur; one empty text where the table has none.
    """
    table, _ = _participants(study)
    if "session_id" not in table:
        return [""]
    return list(dict.fromkeys(identifiers(table["session_id"]).fillna("")))


def identifiers_of(study: Study) -> list[str]:
    """Return every participant_id of the table, whatever the session.

    Parameters
    ----------
    study : Study
        With its table.

    Returns
    -------
    list of str
        Each once.
    """
    table, name = _participants(study)
    if "participant_id" not in table:
        raise missing_column("participant_id", table.columns, name)
    return list(dict.fromkeys(identifiers(table["participant_id"]).dropna()))


def _participants(study: Study) -> tuple[pd.DataFrame, str]:
    """Return the participants' table under the canonical names, and the name of its file."""
    path = study.resolve(study.participants.file)
    return apply_mapping(read_table(path), study.participants.model_dump()["columns"], path.name), path.name


def _of_session(study: Study, session: str | None) -> pd.DataFrame:
    return read_cohort(
        study.resolve(study.participants.file),
        columns=study.participants.model_dump()["columns"],
        exposure=None if session is None else {"session": session},
    ).table
