"""What a check says: kind, severity, a plain sentence, the figure it rests on and the slices concerned."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

#: From the mildest on. A note is for the reader and changes no verdict.
SEVERITIES = ("note", "review", "fail")
VERDICTS = ("pass", "review", "fail")

#: Every kind of finding, in words for headings.
KINDS = {
    "swap_whole": "water and fat exchanged",
    "swap_station": "water and fat exchanged in a station",
    "swap_partial": "water and fat exchanged in a part",
    "zero_slices": "slices without signal",
    "zero_block": "block without signal",
    "one_contrast_empty": "one contrast empty",
    "cut_in_plane": "field of view too small in plane",
    "cut_extent": "field of view too short",
    "missing_slices": "slices missing",
    "repeated_slices": "slices repeated",
    "irregular_positions": "slice positions irregular",
    "metal": "signal void as beside metal",
    "volume": "implausible volume",
    "asymmetry": "left and right differ",
    "sides_exchanged": "left and right exchanged",
    "out_of_distribution": "unlike the reference scans",
}


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    severity : {"note", "review", "fail"}
        A note changes no verdict; review asks for a look; fail says that the scan cannot be measured as it is.
    message : str
        A plain sentence with its figures.
    value, limit : float
        The figure that the check rests on and where it begins to speak.
    slices : tuple of int
        Slices concerned, counted from 0 at the feet; empty where the whole scan is.
    muscles : tuple of str
        Muscles concerned, as named in the measurement table; empty where all are.
    """

    kind: str
    severity: str
    message: str
    value: float
    limit: float
    slices: tuple[int, ...] = ()
    muscles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.severity not in SEVERITIES:
            raise ValueError(f"no finding has the kind {self.kind!r} and the severity {self.severity!r}")


@dataclass(frozen=True, eq=False)
class Quality:
    """All findings about one scan.

    Attributes
    ----------
    findings : list of Finding
        Worst first.
    features : dict of str to float
        What the out-of-distribution score rests on; `fit_reference` takes a table of these with `group`.
    group : {"trunk", "thigh", "other"}
        Which region of the body the scan was compared as.
    repair : str or None
        "swap whole", "swap station" or "swap partial" where `repair_swap` can put water and fat right.
    swapped : ndarray bool, optional
        Where they are exchanged, on a grid reduced in plane: (nx', ny', nz), or (1, 1, nz) for whole slices.
    factor : (2,) tuple of int
        Voxels of the images in one of that grid, along x and y.
    """

    findings: list[Finding] = field(default_factory=list)
    features: dict[str, float] = field(default_factory=dict)
    group: str = "other"
    repair: str | None = None
    swapped: np.ndarray | None = None
    factor: tuple[int, int] = (1, 1)

    @property
    def qc(self) -> str:
        """Verdict over the whole scan: the worst severity, "pass" where there are notes at most."""
        return self.verdict()

    @property
    def score(self) -> float:
        """How far the scan lies beyond limits, for sorting: fails before reviews, then by how many and how far."""
        worst = max((SEVERITIES.index(finding.severity) for finding in self.findings), default=0)
        return worst + sum(finding.severity != "note" for finding in self.findings) / 100

    def verdict(self, muscle: str | None = None) -> str:
        """Return the verdict for one muscle, or for the whole scan.

        Parameters
        ----------
        muscle : str, optional
            As in the measurement table; "all" takes every muscle's findings.

        Returns
        -------
        {"pass", "review", "fail"}
        """
        ranks = [
            SEVERITIES.index(finding.severity)
            for finding in self.findings
            if muscle in (None, "all") or not finding.muscles or muscle in finding.muscles
        ]
        return VERDICTS[max(ranks, default=0)]

    def to_dict(self) -> dict[str, Any]:
        """Return findings, features and verdict for a JSON sidecar."""
        return {
            "qc": self.qc,
            "repair": self.repair,
            "findings": [asdict(finding) for finding in self.findings],
            "group": self.group,
            "features": self.features,
        }


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Sort findings by severity, fail first; those of one severity keep their order."""
    return sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity))


def slices_text(slices: Sequence[int]) -> str:
    """Say slices as people count them, from 1: ``slices 3-5 and 9``.

    Parameters
    ----------
    slices : sequence of int
        Counted from 0.

    Returns
    -------
    str
        With "slice" or "slices" in front.
    """
    runs: list[list[int]] = []
    for k in sorted(set(slices)):
        if runs and k == runs[-1][1] + 1:
            runs[-1][1] = k
        else:
            runs.append([k, k])
    parts = [f"{first + 1}" if first == last else f"{first + 1}-{last + 1}" for first, last in runs]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"slice{'s' if len(set(slices)) > 1 else ''} {listed}"
