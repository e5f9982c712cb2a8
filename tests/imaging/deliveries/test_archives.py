"""Hostile archives are refused before anything is written, and nothing is ever written under a name of theirs."""

import io
import stat
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muscle_bayes.errors import ArchiveError, DeliveryError
from muscle_bayes.imaging.deliveries import Delivery, load_delivery
from muscle_bayes.imaging.deliveries.archives import Limits, members, shown

SMALL = Limits(entries=20, member_bytes=1 << 16, total_bytes=1 << 18, ratio_from_bytes=1 << 12, name_length=64)


def archive_of(tmp_path, *entries, compression=zipfile.ZIP_DEFLATED):
    path = tmp_path / "delivery.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def entry(name, mode=0, system=3):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = system, mode << 16
    return info


def patched(path, find, replace, count=-1):
    path.write_bytes(path.read_bytes().replace(find, replace, count))
    return path


def encrypted(tmp_path):
    path = archive_of(tmp_path, ("a.dcm", b"x" * 100), compression=zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + offset] |= 1
    path.write_bytes(raw)
    return path


def overlapping(tmp_path):
    """Two entries of the table of contents that mean the same bytes, as zip bombs without nesting do."""
    path = archive_of(tmp_path, ("a.dcm", bytes(range(256)) * 100), ("b.dcm", b""), compression=zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    first = raw.index(b"PK\x01\x02")
    second = raw.index(b"PK\x01\x02", first + 4)
    raw[second + 16 : second + 28] = raw[first + 16 : first + 28]
    raw[second + 42 : second + 46] = raw[first + 42 : first + 46]
    path.write_bytes(raw)
    return path


def lying(tmp_path):
    """An entry that says it has 10 bytes and has 20,000."""
    path = archive_of(tmp_path, ("a.dcm", b"y" * 20_000))
    raw = bytearray(path.read_bytes())
    start = raw.index(b"PK\x01\x02")
    raw[start + 24 : start + 28] = struct.pack("<I", 10)
    path.write_bytes(raw)
    return path


def damaged(tmp_path):
    path = archive_of(tmp_path, ("a.dcm", bytes(range(256)) * 50), compression=zipfile.ZIP_STORED)
    return patched(path, bytes(range(100, 140)), bytes(40), 1)


def truncated(tmp_path):
    path = archive_of(tmp_path, ("a.dcm", bytes(range(256)) * 50))
    path.write_bytes(path.read_bytes()[:-40])
    return path


def no_archive(tmp_path):
    path = tmp_path / "delivery.zip"
    path.write_bytes(b"<html>Your session has expired</html>")
    return path


def with_nul(tmp_path):
    path = archive_of(tmp_path, ("a.dcmX.exe", b"x"), compression=zipfile.ZIP_STORED)
    return patched(path, b"a.dcmX.exe", b"a.dcm\0.exe")


def bomb(tmp_path):
    return archive_of(tmp_path, ("a.dcm", bytes(1 << 16)))


def bomb_of_many(tmp_path):
    return archive_of(tmp_path, *[(f"{k}.dcm", bytes((1 << 12) - 1)) for k in range(19)])


KINDS = {
    "parent folder": (lambda t: archive_of(t, ("../../evil.dcm", b"x")), "leads out"),
    "parent folder inside": (lambda t: archive_of(t, ("a/../../b.dcm", b"x")), "leads out"),
    "parent folder, backslash": (lambda t: archive_of(t, ("..\\..\\evil.dcm", b"x")), "leads out"),
    "absolute": (lambda t: archive_of(t, ("/etc/cron.d/evil", b"x")), "absolute"),
    "absolute, backslash": (lambda t: archive_of(t, ("\\\\server\\share\\evil", b"x")), "absolute"),
    "drive letter": (lambda t: archive_of(t, ("C:\\evil.dcm", b"x")), "drive letter"),
    "drive letter without slash": (lambda t: archive_of(t, ("c:evil.dcm", b"x")), "drive letter"),
    "symbolic link": (
        lambda t: archive_of(t, (entry("link.dcm", stat.S_IFLNK | 0o777), "/etc/passwd")),
        "symbolic link",
    ),
    "pipe": (lambda t: archive_of(t, (entry("pipe", stat.S_IFIFO | 0o666), b"")), "device or a pipe"),
    "device": (lambda t: archive_of(t, (entry("device", stat.S_IFBLK | 0o666), b"")), "device or a pipe"),
    "encrypted": (encrypted, "encrypted"),
    "too many": (lambda t: archive_of(t, *[(f"{k}.dcm", b"x") for k in range(21)]), "21 members"),
    "large member": (lambda t: archive_of(t, ("a.dcm", bytes(range(256)) * 400), compression=0), "more than a member"),
    "large in all": (
        lambda t: archive_of(t, *[(f"{k}.dcm", bytes(range(256)) * 200) for k in range(6)], compression=0),
        "more than one visit",
    ),
    "compressed bomb": (bomb, "is compressed"),
    "bomb of many small members": (bomb_of_many, "It is compressed"),
    "overlapping members": (overlapping, "overlap|cannot be read"),
    "size that lies": (lying, "cannot be read|says"),
    "damaged member": (damaged, "cannot be read|damaged"),
    "truncated": (truncated, "cannot be read"),
    "no archive": (no_archive, "cannot be read"),
    "empty": (lambda t: archive_of(t), "empty"),
    "folders only": (lambda t: archive_of(t, ("a/", b""), ("b/", b"")), "empty"),
    "same name twice": (lambda t: archive_of(t, ("a.dcm", b"x"), ("A.DCM", b"y")), "twice"),
    "NUL in a name": (with_nul, "NUL"),
    "new line in a name": (lambda t: archive_of(t, ("a\nb.dcm", b"x")), "control characters"),
    "terminal sequence in a name": (lambda t: archive_of(t, ("\x1b[2Jb.dcm", b"x")), "control characters"),
    "long name": (lambda t: archive_of(t, ("a" * 65, b"x")), "too long"),
    "unusual compression": (lambda t: archive_of(t, ("a.dcm", b"x" * 99), compression=zipfile.ZIP_LZMA), "method 14"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_archives_are_refused(tmp_path, kind):
    make, said = KINDS[kind]
    path = make(tmp_path)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(ArchiveError, match=said) as refused:
        list(members(path, "participant 5", SMALL))
    assert "participant 5" in refused.value.where
    assert "delivery.zip" in refused.value.where
    assert str(refused.value).isprintable(), "nothing of a foreign name reaches a terminal as it is"
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["parent folder", "symbolic link", "encrypted", "truncated", "same name twice"])
def test_a_refused_archive_leaves_nothing_behind(tmp_path, kind):
    path = KINDS[kind][0](tmp_path)
    scratch = tmp_path / "scratch"
    delivery = Delivery("5", "2", "dicom", {"dicom": (path,)})
    with pytest.raises(ArchiveError):
        load_delivery(delivery, scratch)
    assert list(scratch.iterdir()) == []


def test_what_is_no_dicom_file_is_counted_and_nested_archives_stay_closed(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("../../evil.dcm", b"x")
    path = archive_of(tmp_path, ("inner.zip", inner.getvalue()), ("notes.csv", b"filename,x"), ("odd näme.dcm", b"x"))
    with pytest.raises(
        DeliveryError, match=r"3 files that are no DICOM images, 1 of them archives, which are not opened"
    ):
        load_delivery(Delivery("5", "2", "dicom", {"dicom": (path,)}), tmp_path / "scratch")


def test_names_are_shown_safely():
    assert shown("a\x1b[31m\n\u202eb") == "a\\x1b[31m\\n\\u202eb"
    assert len(shown("x" * 500)) <= 80


@settings(max_examples=40, deadline=None)
@given(raw=st.binary(max_size=400), cut=st.integers(0, 300), flip=st.integers(0, 10_000))
def test_no_archive_raises_anything_else(tmp_path_factory, raw, cut, flip):
    # A good archive with a byte changed, a part gone, and rubbish behind it.
    folder = tmp_path_factory.mktemp("fuzz")
    path = archive_of(folder, ("a.dcm", bytes(range(256))), ("b/c.dcm", b"z" * 300))
    content = bytearray(path.read_bytes())
    content[flip % len(content)] ^= 1 + flip % 255
    path.write_bytes(bytes(content[: len(content) - cut % 50]) + raw)
    try:
        said = " ".join(member.name for member in members(path, "participant 5", SMALL))
    except ArchiveError as refused:
        said = str(refused)
    assert said.isprintable()
