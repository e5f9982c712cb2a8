"""Which contrast a series is: water, fat, in phase, opposed phase, or another map.

What manufacturers write, as published headers and conversion tools show it:

- Siemens: ImageType with WATER, FAT, IN_PHASE, OPP_PHASE (also W, F, IN, OPP) and a series description that ends in `_W`, `_F`,
  `_in`, `_opp`; where one series holds all contrasts (composed whole-body images), the private tag (0051,1019) with DIXW, DIXF.
- GE (LAVA-Flex, IDEAL): a series description that begins with `WATER:`, `FAT:`, `InPhase:`, `OutPhase:`.
- Philips (mDIXON): ImageType with W, F, IP, OP, often several in one series.

The header's ImageType and options come first, because a series of several contrasts has one description; a mapping that the
user gives comes before everything.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from muscle_bayes.imaging.deliveries.headers import Header

WATER, FAT, IN_PHASE, OPPOSED_PHASE = "water", "fat", "in_phase", "opposed_phase"

_IMAGE_TYPES = {
    WATER: {"W", "WATER"},
    FAT: {"F", "FAT"},
    IN_PHASE: {"IP", "IN", "IN_PHASE", "INPHASE"},
    OPPOSED_PHASE: {"OP", "OPP", "OPP_PHASE", "OUT_PHASE", "OUTPHASE", "OPPOSED_PHASE"},
}
#: Maps that are neither water nor fat although their name holds the word.
_OTHER_MAPS = {
    "FF",
    "WF",
    "FAT_FRACTION",
    "WATER_FRACTION",
    "FATFRAC",
    "R2_STAR",
    "R2S",
    "T2_STAR",
    "PDFF",
    "FIELD_MAP",
}
_OTHER_NAMES = re.compile(r"(fat|water)[ _-]?frac|pdff|r2\*|r2s|t2\*|_fp$|_wp$", re.IGNORECASE)

_OPTIONS = {WATER: "DIXW", FAT: "DIXF"}

_NAMES = {
    WATER: re.compile(r"^water\s*:|(?:^|[ _-])(?:w|water)$", re.IGNORECASE),
    FAT: re.compile(r"^fat\s*:|(?:^|[ _-])(?:f|fat)$", re.IGNORECASE),
    IN_PHASE: re.compile(r"^in[ -]?phase\s*:|(?:^|[ _-])(?:in|ip|in[ _-]?phase)$", re.IGNORECASE),
    OPPOSED_PHASE: re.compile(
        r"^out[ -]?phase\s*:|(?:^|[ _-])(?:opp|op|out|opp[ _-]?phase|out[ _-]?phase|opposed[ _-]?phase)$", re.IGNORECASE
    ),
}


def named_contrast(description: str) -> str | None:
    """Tell the contrast from a series description.

    Parameters
    ----------
    description : str
        Such as `Dixon_noBH_F3D_W` or `WATER: Ax LAVA-Flex`; `_COMPOSED` and a trailing number of a station do not count.

    Returns
    -------
    {"water", "fat", "in_phase", "opposed_phase"} or None
        None where the description does not say it.
    """
    bare = re.sub(r"(_COMPOSED|_COMP)?(_ND)?(_\d{1,2})?$", "", description.strip(), flags=re.IGNORECASE)
    if _OTHER_NAMES.search(bare):
        return None
    for contrast, expression in _NAMES.items():
        if expression.search(bare):
            return contrast
    return None


def stated_contrast(header: Header) -> str | None:
    """Tell the contrast from ImageType and the manufacturer's options.

    Parameters
    ----------
    header : Header
        Of one file.

    Returns
    -------
    {"water", "fat", "in_phase", "opposed_phase", "other"} or None
        "other" for fractions and relaxation maps; None where the header does not say it.
    """
    # The first two values say original or derived, primary or secondary.
    values = set(header.image_type[2:])
    if values & _OTHER_MAPS:
        return "other"
    stated = [contrast for contrast, words in _IMAGE_TYPES.items() if values & words]
    if len(stated) == 1:
        return stated[0]
    for contrast, word in _OPTIONS.items():
        if word in header.options:
            return contrast
    return None


def contrast_of(header: Header, names: Mapping[str, str]) -> str | None:
    """Tell the contrast of a file.

    Parameters
    ----------
    header : Header
        Of one file.
    names : mapping of str to str
        Role (water, fat, image) -> pattern of series descriptions, given by the user; upper and lower case are alike. Where
        there are any, nothing else counts.

    Returns
    -------
    str or None
        Contrast or role; None where nothing says it.
    """
    if names:
        for role, pattern in names.items():
            if fnmatchcase(header.description.casefold(), pattern.casefold()):
                return role
        return None
    return stated_contrast(header) or named_contrast(header.description)
