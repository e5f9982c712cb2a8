"""What the columns of measurements.tsv mean, in the form of a BIDS sidecar."""

from collections.abc import Iterable

_DEFINITIONS = {
    "threshold": "adipose tissue = voxels with a fat signal fraction of at least 0.5",
    "fraction": "adipose tissue = sum of the fat signal fraction",
    "mixture": "adipose tissue by a Gaussian mixture of intensities",
}
_COLUMNS = {
    "participant_id": ("Identifier of the participant", ""),
    "session_id": ("Identifier of the examination", ""),
    "muscle": ("Muscle group; `all` is every labelled muscle", ""),
    "side": ("The person's own side; `both` is left and right together", ""),
    "region": ("Extent along the body that was measured", ""),
    "compartment": ("`labels` as segmented, `fascia` with the fat inside the fascia", ""),
    "backend": ("Where the muscle compartment comes from", ""),
    "weights_sha256": ("Hash of a network's weights; empty without a network", ""),
    "compartment_cm3": ("Volume of the muscle compartment", "cm3"),
    "undefined_percent": ("Share of the compartment without signal, left out of all figures", "%"),
    "z_min_mm": ("Lower end of the measured extent in scanner coordinates", "mm"),
    "z_max_mm": ("Upper end of the measured extent in scanner coordinates", "mm"),
    "voxel_mm3": ("Volume of a voxel; figures by threshold depend on it", "mm3"),
    "truncated": ("1 where the image does not show the whole extent; figures are then missing", "0/1"),
    "intermat_sd_percent": (
        "Standard deviation of InterMAT (threshold), that is the root mean square error to expect because of where the network "
        "drew the border; InterMAT +- 1.96 of it is a 95 % interval",
        "%",
    ),
    "lean_sd_cm3": (
        "Standard deviation of lean volume (threshold), as that of InterMAT; in regions that the calibration holds for",
        "cm3",
    ),
    "intermat_lean_cov": (
        "Covariance of the errors of InterMAT and lean volume, as their standard deviations",
        "% cm3",
    ),
    "qc": ("pass, review (look at it) or fail (cannot be used)", ""),
    "simulated": ("1 where the image is a phantom", "0/1"),
}


def measurement_dictionary(columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the dictionary of a measurement table.

    Parameters
    ----------
    columns : iterable of str
        Columns of the table.

    Returns
    -------
    dict of str to dict
        Column -> Description and Units.
    """
    described: dict[str, dict[str, str]] = {}
    for name in columns:
        text, unit = _COLUMNS.get(name, ("", ""))
        definition = next((d for d in _DEFINITIONS if f"_{d}_" in name), None)
        if definition is not None:
            quantity, unit = {
                "intermat": ("Adipose volume in percent of the compartment's defined volume", "%"),
                "lean": ("Lean volume of the compartment", "cm3"),
                "lmm": ("Lean volume / BMI", "cm3/(kg/m2)"),
            }[name.split("_", 1)[0]]
            text = f"{quantity}; {_DEFINITIONS[definition]}"
        described[name] = {"Description": text, **({"Units": unit} if unit else {})}
    return described
