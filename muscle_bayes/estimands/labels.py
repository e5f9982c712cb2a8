"""What tables, axes and nomograms call a variable, and its unit as it is printed."""

from muscle_bayes.cohort.dictionary import VARIABLES

_LABELS = {
    "intermat_percent": "InterMAT",
    "intermat_threshold_percent": "InterMAT (threshold)",
    "intermat_fraction_percent": "InterMAT (fraction)",
    "intermat_mixture_percent": "InterMAT (mixture)",
    "lmm_cm3_per_kg_m2": "LMM",
    "lmm_threshold_cm3_per_kg_m2": "LMM (threshold)",
    "lmm_fraction_cm3_per_kg_m2": "LMM (fraction)",
    "lmm_mixture_cm3_per_kg_m2": "LMM (mixture)",
    "lean_cm3": "Lean volume",
    "age_years": "Age",
    "bmi_kg_m2": "BMI",
    "height_cm": "Height",
    "weight_kg": "Weight",
    "activity": "Physical activity",
    "activity_met_min_week": "Physical activity",
    "sex": "Sex",
    "diabetes": "Diabetes",
    "dyslipidemia": "Dyslipidemia",
    "osteoporosis": "Osteoporosis",
    "osteoarthritis": "Osteoarthritis",
    "cbp": "Chronic back pain",
    "pain_nrs": "Pain intensity",
}
_UNITS = {"cm3/(kg/m2)": "cm³/(kg/m²)", "kg/m2": "kg/m²", "cm3": "cm³", "0/1": ""}


def label_of(column: str) -> str:
    """Return the name that readers know a raw column by.

    Parameters
    ----------
    column : str
        Raw column, such as ``intermat_percent``.

    Returns
    -------
    str
        Such as ``InterMAT``; a study's own column is shown as it is called.
    """
    return _LABELS.get(column, column.replace("_", " "))


def unit_of(column: str) -> str:
    """Return the unit of a raw column as it is printed.

    Parameters
    ----------
    column : str
        Raw column, such as ``lmm_cm3_per_kg_m2``.

    Returns
    -------
    str
        Such as ``cm³/(kg/m²)``; empty where the column has none or is a study's own.
    """
    variable = VARIABLES.get(column)
    return "" if variable is None else _UNITS.get(variable.unit, variable.unit)


def with_unit(column: str) -> str:
    """Return label and unit, such as ``Age (years)``."""
    unit = unit_of(column)
    return f"{label_of(column)} ({unit})" if unit else label_of(column)
