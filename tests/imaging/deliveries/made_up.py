"""Small made-up deliveries: nothing in them is of a person."""

import io
import zipfile

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

#: Rows run to the person's left, columns to the back, as in axial images of scanners.
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

#: What must never be found again in anything that is kept.
NAME, BIRTH = "Mustermann^Erika", "19640812"


def dicom_bytes(pixels, position, *, series, study, number=1, spacing=(1.5, 1.5), step=3.0, description="", **tags):
    """One slice as the bytes of a DICOM file; pixels are (rows, columns), position and spacing in mm."""
    data = Dataset()
    data.PatientName, data.PatientBirthDate = NAME, BIRTH
    data.PatientID = tags.pop("PatientID", "made-up")
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, "1.2.3"
    data.Modality, data.Manufacturer, data.ManufacturerModelName = "MR", "SIEMENS", "Aera"
    data.DeviceSerialNumber, data.SoftwareVersions, data.MagneticFieldStrength = "4711", "syngo MR D13", 1.5
    data.AcquisitionDate, data.StudyDate, data.AcquisitionTime = "20160517", "20160517", "101112"
    data.RepetitionTime, data.EchoTime, data.FlipAngle = 6.69, 2.39, 10
    data.SeriesDescription, data.ProtocolName, data.SeriesNumber, data.InstanceNumber = description, "dixon", number, 1
    data.ImageType = ["DERIVED", "PRIMARY", "M"]
    data.ImagePositionPatient, data.ImageOrientationPatient = list(map(float, position)), list(AXIAL)
    data.PixelSpacing, data.SliceThickness, data.SpacingBetweenSlices = list(spacing), step, step
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        MRImageStorage,
        data.SOPInstanceUID,
    )
    out = io.BytesIO()
    pydicom.dcmwrite(out, data, enforce_file_format=True)
    return out.getvalue()


def series_bytes(volume, *, z=0.0, step=3.0, spacing=(1.5, 1.5), corner=(-20.0, -15.0), **tags):
    """A series of axial slices; volume is (x to the left, y to the back, z to the head), as the scanner counts."""
    uid = tags.pop("series", None) or generate_uid()
    return [
        dicom_bytes(
            volume[:, :, k].T,
            (*corner, z + k * step),
            series=uid,
            step=step,
            spacing=spacing,
            InstanceNumber=k + 1,
            **tags,
        )
        for k in range(volume.shape[2])
    ]


def ras_affine(shape, *, z=0.0, step=3.0, spacing=(1.5, 1.5), corner=(-20.0, -15.0)):
    """Affine of the same volume turned to RAS order: what reading it must give."""
    return np.array(
        [
            [spacing[1], 0, 0, -(corner[0] + (shape[0] - 1) * spacing[1])],
            [0, spacing[0], 0, -(corner[1] + (shape[1] - 1) * spacing[0])],
            [0, 0, step, z],
            [0, 0, 0, 1.0],
        ]
    )


def zip_of(path, members):
    """Write an archive of name -> bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def body(shape, seed=1):
    """Water and fat of a made-up body as the scanner counts (12 bit): a cylinder with muscle within fat, and noise outside."""
    random = np.random.default_rng(seed)
    x, y, _ = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = np.hypot(x, y)
    water = np.where(radius < 0.6, 1500, np.where(radius < 0.85, 150, 0)) + random.integers(0, 40, shape)
    fat = np.where(radius < 0.6, 120, np.where(radius < 0.85, 1400, 0)) + random.integers(0, 40, shape)
    # Rows and slices differ, so that no flip or shift could go unseen.
    ramp = 1 + 0.2 * np.arange(shape[2]) / shape[2] + 0.1 * np.arange(shape[0])[:, None, None] / shape[0]
    return (water * ramp).astype(np.uint16), (fat * ramp).astype(np.uint16)
