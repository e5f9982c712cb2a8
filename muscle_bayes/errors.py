"""Every typed error of muscle_bayes.

Each message names the participant, file or column, says what is wrong and what to do next.
"""


class MuscleBayesError(Exception):
    """Base of all errors that muscle_bayes raises on purpose.

    Parameters
    ----------
    where : str
        The participant, file, column or term that the error is about.
    problem : str
        What is wrong, as one sentence, with why it matters where that is not plain.
    remedy : str
        What to do next.

    Attributes
    ----------
    exit_code : int
        What the command line exits with: 3 for bad input, 4 for a fit that failed its gate.
    """

    exit_code = 3

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        self.where, self.problem, self.remedy = where, problem, remedy
        # Several problems stand one a line; what to do about all of them then stands on its own line too.
        between = "\n" if "\n" in problem else " "
        super().__init__(f"{where}: {problem.rstrip('.')}.{between}{remedy.rstrip('.')}.")

    def __reduce__(self) -> tuple[type["MuscleBayesError"], tuple[str, str, str]]:
        # Without this an error raised in a worker process cannot be unpickled in the parent.
        return type(self), (self.where, self.problem, self.remedy)


class MissingDependencyError(MuscleBayesError):
    """An optional package that this step needs is not installed."""


# --- images -----------------------------------------------------------------------------------------------------------


class ImageError(MuscleBayesError):
    """An image cannot be used."""


class CorruptImageError(ImageError):
    """A file cannot be read as an image (corrupt gzip, truncated, not NIfTI)."""


class EmptyImageError(ImageError):
    """An image holds no signal: all zero or all not-a-number."""


class ImageDimensionError(ImageError):
    """An image is not one three-dimensional volume with a usable affine."""


class ImageUnitsError(ImageError):
    """Values of an image do not suit its role (fractions where signals are needed, negative magnitudes)."""


class GridMismatchError(ImageError):
    """Images that belong together lie on different grids."""


class LabelSchemeError(ImageError):
    """A label map does not follow the scheme that it was read with."""


class CompartmentNotFoundError(ImageError):
    """No muscle compartment could be found in an image."""


class MixtureNotSeparableError(ImageError):
    """Lean and adipose intensities of one contrast do not separate, so a mixture would invent a figure."""


class BundleError(ImageError):
    """A segmentation bundle, its network or its weights cannot be used, or must not be."""


class MissingWeightsError(BundleError):
    """The weights of a network are not there; none are ever downloaded."""


class BackendError(ImageError):
    """Another tool that was asked to label a scan is not there, failed, or gave something else than labels of the scan."""


class DeviceMemoryError(ImageError):
    """The memory of the device that computes does not hold a single window of a scan."""


class WorkerKilledError(ImageError):
    """A scan whose task ended the process that worked on it, again and again, with nothing else beside it."""


class ClusterError(MuscleBayesError):
    """Workers cannot be had, or were lost and did not come back."""


class DeliveryError(ImageError):
    """A delivery of scans cannot be used: files are missing, there are too many, or they are not what their format says."""


class ArchiveError(DeliveryError):
    """An archive is damaged or unsafe, so nothing is taken out of it."""


class ConversionError(DeliveryError):
    """DICOM files do not make one volume."""


class StationError(DeliveryError):
    """Stations of a scan do not make one volume: one is missing, twice there, or there is a gap between them."""


# --- tables -----------------------------------------------------------------------------------------------------------


class TableError(MuscleBayesError):
    """A participant or measurement table cannot be used."""


class MissingColumnError(TableError):
    """A column that is needed is not there."""


class DuplicateKeyError(TableError):
    """A participant-session (or measurement key) occurs more than once."""


class EmptyTableError(TableError):
    """A table has no rows, or none are left after exclusions and complete cases."""


class InvalidValueError(TableError):
    """A column holds values outside what its definition allows."""


# --- models, fits, studies --------------------------------------------------------------------------------------------


class ModelFileError(MuscleBayesError):
    """A model file is missing or breaks a rule of the model format."""


class FormulaError(MuscleBayesError):
    """A formula uses something outside the grammar."""


class PriorError(MuscleBayesError):
    """Priors do not apply to a model, or must not be used with a cohort."""


class StudyFileError(MuscleBayesError):
    """A study file is missing or breaks a rule of the study format."""


class FitFileError(MuscleBayesError):
    """A saved fit cannot be read."""


class UnconvergedFitError(MuscleBayesError):
    """A fit failed its gate, so no estimate is drawn from it unless that is asked for."""

    exit_code = 4


class EstimandError(MuscleBayesError):
    """An estimand is not defined for this fit or these levels."""
