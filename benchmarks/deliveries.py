"""CPU seconds from a delivery to a scan in memory, by format: what reading costs before anything is labelled.

    python benchmarks/deliveries.py            # about two minutes of CPU
    python benchmarks/deliveries.py --quick    # a third of the rows and columns

Every delivery is made up, with the sizes of the real ones: a UK Biobank archive of 24 series (six stations of 64, 44, 44, 44, 72
and 64 slices; 224 columns, 156 to 174 rows) and a NAKO composed volume (320 x 260 x 316) as NIfTI files and as DICOM. Images are
cylinders with noise, headers carry a private block of 40 kB as Siemens' do, and compression is deflate as in the originals. CPU
seconds are those of this process and of dcm2niix together; wall seconds depend on the machine's other work.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from muscle_bayes.imaging.deliveries import find_deliveries, load_delivery
from muscle_bayes.imaging.images import read_volume

RESULTS = Path(__file__).parent / "results"
#: Slices, rows and slice distance of the stations of UK Biobank, from the lowest up.
STATIONS = ((64, 156, 4.0), (72, 162, 3.5), (44, 174, 4.5), (44, 174, 4.5), (44, 174, 4.5), (64, 168, 3.0))
PRIVATE_BYTES = 40_000


def cpu_seconds() -> float:
    """CPU seconds of this process and of those that it waited for."""
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in each)


def body(columns: int, rows: int, slices: int, contrast: str, seed: int) -> np.ndarray:
    """One contrast of a made-up body (columns, rows, slices), 12 bit."""
    x, y = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows), indexing="ij")
    radius = np.hypot(x, y)
    water = np.where(radius < 0.6, 1500, np.where(radius < 0.85, 150, 0))
    fat = np.where(radius < 0.6, 120, np.where(radius < 0.85, 1400, 0))
    plane = {"W": water, "F": fat, "in": water + fat, "opp": np.abs(water - fat)}[contrast]
    noise = np.random.default_rng(seed).integers(0, 40, (columns, rows, slices))
    return (plane[:, :, None] + noise).astype(np.uint16)


def series(volume: np.ndarray, z: float, step: float, spacing: float, **tags: Any) -> Iterator[bytes]:
    """Slices of a series as DICOM files."""
    data = Dataset()
    data.PatientName, data.PatientID = "made up", "made up"
    data.SOPClassUID, data.SeriesInstanceUID, data.Modality = MRImageStorage, generate_uid(), "MR"
    data.Manufacturer, data.ImageType = "SIEMENS", ["DERIVED", "PRIMARY", "M"]
    data.ImageOrientationPatient, data.PixelSpacing = [1.0, 0, 0, 0, 1.0, 0], [spacing, spacing]
    data.SliceThickness, data.Columns, data.Rows = step, *volume.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", os.urandom(PRIVATE_BYTES))
    for name, value in tags.items():
        setattr(data, name, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID, data.file_meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    for k in range(volume.shape[2]):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.InstanceNumber, data.ImagePositionPatient = k + 1, [-200.0, -150.0, z + k * step]
        data.PixelData = np.ascontiguousarray(volume[:, :, k].T).tobytes()
        out = BytesIO()
        pydicom.dcmwrite(out, data, enforce_file_format=True)
        yield out.getvalue()


def ukb20201(root: Path, shrink: int) -> None:
    """An archive of UK Biobank field 20201."""
    study, z, number = generate_uid(), 0.0, 0
    with zipfile.ZipFile(root / "1234567_20201_2_0.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for place, (slices, rows, step) in enumerate(STATIONS):
            for contrast in ("in", "opp", "F", "W"):
                number += 1
                volume = body(224 // shrink, rows // shrink, slices, contrast, number)
                tags = {
                    "SeriesDescription": f"Dixon_noBH_{contrast}",
                    "SeriesNumber": number,
                    "StudyInstanceUID": study,
                }
                for k, content in enumerate(series(volume, z, step, 2.232 * shrink, **tags)):
                    archive.writestr(f"1.3.12.{place}.{number}.{k}.dcm", content)
            z += slices * step - 24.0  # an overlap of about 24 mm


def nako_nifti(root: Path, shrink: int) -> None:
    """Composed volumes of the NAKO as NIfTI files."""
    folder = root / "3D_GRE_TRA_W_COMPOSED" / "100042_30"
    folder.mkdir(parents=True)
    affine = np.diag([1.40625 * shrink, 1.40625 * shrink, 3.0, 1.0])
    for contrast, name in (("W", "water"), ("F", "fat")):
        volume = body(320 // shrink, 260 // shrink, 316, contrast, 1)
        nib.save(nib.Nifti1Image(volume.astype(np.int16), affine), folder / f"{name}.nii.gz")


def nako_dicom(root: Path, shrink: int) -> None:
    """Composed series of the NAKO, one archive a contrast."""
    study = generate_uid()
    for number, contrast in enumerate(("W", "F"), 1):
        name = f"3D_GRE_TRA_{contrast}_COMPOSED"
        (root / name).mkdir()
        volume = body(320 // shrink, 260 // shrink, 316, contrast, number)
        tags = {"SeriesDescription": name, "SeriesNumber": number, "StudyInstanceUID": study}
        with zipfile.ZipFile(root / name / f"100042_30_{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for k, content in enumerate(series(volume, 0.0, 3.0, 1.40625 * shrink, **tags)):
                archive.writestr(f"{k}.dcm", content)


def measured(make: Callable[[Path, int], None], format: str, shrink: int) -> dict[str, Any]:
    """Make a delivery, read it, and say what that took."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "delivery")
        root.mkdir()
        make(root, shrink)
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        (delivery,) = find_deliveries(root, format).found
        cpu, wall = cpu_seconds(), time.perf_counter()
        scan = load_delivery(delivery, Path(folder, "scratch"))
        loaded = cpu_seconds() - cpu
        # A NIfTI file is decompressed here, and an image in memory is looked at once.
        shapes = [list(read_volume(scan.images[role], role).data.shape) for role in ("water", "fat")]
        return {
            "megabytes": round(size / 1e6, 1),
            "shape": shapes[0],
            "cpu_s_load": round(loaded, 2),
            "cpu_s_load_and_read": round(cpu_seconds() - cpu, 2),
            "wall_s": round(time.perf_counter() - wall, 2),
        }


def main() -> None:
    """Measure each format and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a third of the rows and columns; nothing is written")
    options = parser.parse_args()
    shrink = 3 if options.quick else 1
    makers = {
        "ukb20201": (ukb20201, "ukb20201"),
        "nako NIfTI": (nako_nifti, "nako"),
        "nako DICOM": (nako_dicom, "nako"),
    }
    found = {}
    for name, (make, format) in makers.items():
        found[name] = measured(make, format, shrink)
        print(name, found[name], flush=True)
    if not options.quick:
        content = {
            "machine": {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()},
            "load_average": [round(value, 1) for value in os.getloadavg()],
            "made_up": True,
            "formats": found,
        }
        (RESULTS / "deliveries.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
