"""Class names inside a label map: the label table that TotalSegmentator writes into the NIfTI extension."""

from xml.etree import ElementTree

from nibabel.nifti1 import Nifti1Header


def class_names(header: object) -> dict[int, str]:
    """Read the class names of a NIfTI header.

    Parameters
    ----------
    header : nibabel header
        Of a label map; headers without extensions have no names.

    Returns
    -------
    dict
        id -> name as the tool wrote it; empty where there is no label table.

    Notes
    -----
    The table is the `CaretExtension` of Connectome Workbench, as written by TotalSegmentator
    (totalsegmentator/nifti_ext_header.py, v2.18.0) under extension code 0.
    """
    names: dict[int, str] = {}
    for extension in header.extensions if isinstance(header, Nifti1Header) else ():
        content = extension.get_content()
        text = content if isinstance(content, bytes) else b""
        # A file comes from anywhere: a document type could declare entities, and no label table has one.
        if b"<LabelTable" not in text or b"<!DOCTYPE" in text:
            continue
        try:
            root = ElementTree.fromstring(text.rstrip(b"\x00").strip())
        except ElementTree.ParseError:
            continue
        for label in root.iter("Label"):
            key, name = label.get("Key", ""), (label.text or "").strip()
            if key.isdecimal() and int(key) > 0 and name:
                names[int(key)] = name
    return names
