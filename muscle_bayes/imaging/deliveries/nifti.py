"""NIfTI files by pattern: one file a role."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from muscle_bayes.errors import DeliveryError
from muscle_bayes.imaging.deliveries.delivery import ROLES, Delivery, Listing, Participant, problem_row, settings_of
from muscle_bayes.imaging.deliveries.patterns import Folders, files_of, keys_of


def find(root: Path, patterns: Mapping[str, str], people: Sequence[Participant] | None) -> Listing:
    """Find each participant's files.

    Parameters
    ----------
    root : pathlib.Path
        Folder that the patterns start from.
    patterns : mapping of str to str
        water and fat, or image, and perhaps labels -> pattern with `{participant_id}` and `{session_id}`.
    people : sequence of Participant or None
        Whose; without them, everybody whose files the patterns meet.

    Returns
    -------
    Listing
        One delivery each; whose pattern meets no file or several is a problem.

    Raises
    ------
    DeliveryError
        Where there is no pattern.
    """
    roles = {role: patterns[role] for role in ROLES if role in patterns}
    if not roles:
        raise DeliveryError(
            "patterns",
            "NIfTI files are found by pattern, and there is none",
            'Give water and fat, or image, such as "sub-{participant_id}/anat/*_water.nii.gz"',
        )
    folders = Folders()
    if people is None:
        keys = keys_of(root, roles.values(), folders)
    else:
        keys = [(person.participant_id, person.session_id) for person in people]
    listing = Listing()
    for participant_id, session_id in keys:
        try:
            files = files_of(root, roles, participant_id, session_id, folders)
        except DeliveryError as error:
            listing.problems.append(problem_row(participant_id, session_id, error))
            continue
        listing.deliveries.append(
            Delivery(
                participant_id,
                session_id,
                "nifti",
                {role: (path,) for role, path in files.items()},
                settings_of(patterns, roles=ROLES),
            )
        )
    return listing
