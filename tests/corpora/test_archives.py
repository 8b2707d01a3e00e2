"""Archives are read in place; what points out of them or blows up is refused."""

import io
import stat
import tarfile
import zipfile

import pytest

from eadbench.core.errors import EadbenchError
from eadbench.corpora.archives import members, open_media, read_member


@pytest.fixture
def bad_zip(tmp_path):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good/a.bin", b"hello")
        archive.writestr("../evil.bin", b"out")
        archive.writestr("/etc/evil.bin", b"out")
        archive.writestr("C:\\evil.bin", b"out")
        archive.writestr("bomb.bin", bytes(8 << 20))
        link = zipfile.ZipInfo("link.bin")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return path


@pytest.fixture
def bad_tar(tmp_path):
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("video/a.bin", "../evil.bin", "/evil.bin"):
            entry = tarfile.TarInfo(name)
            entry.size = 5
            archive.addfile(entry, io.BytesIO(b"hello"))
        for name, kind in (
            ("soft.bin", tarfile.SYMTYPE),
            ("hard.bin", tarfile.LNKTYPE),
            ("pipe.bin", tarfile.FIFOTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "../../etc/passwd"
            archive.addfile(entry)
    return path


def test_only_harmless_members_are_read(bad_zip, bad_tar):
    for archive, good in ((bad_zip, "good/a.bin"), (bad_tar, "video/a.bin")):
        listed = members(archive)
        assert [name for name, member in listed.items() if not member.refused] == [good]
        assert read_member(archive, good) == b"hello"
        for name, member in listed.items():
            if member.refused:
                with pytest.raises(EadbenchError, match="refused"):
                    read_member(archive, name)
    assert "zip bomb" in members(bad_zip)["bomb.bin"].refused
    assert "link" in members(bad_tar)["soft.bin"].refused and "link" in members(bad_tar)["hard.bin"].refused


def test_a_member_that_lies_about_its_size_is_bounded(tmp_path):
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", bytes(range(256)) * 100)
    data = path.read_bytes()
    size = (25600).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(EadbenchError):
        read_member(path, "a.bin")


def test_a_member_that_does_not_unpack_costs_itself(tmp_path):
    path = tmp_path / "hurt.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", b"a member " * 500)
        archive.writestr("b.bin", b"hello")
    data = bytearray(path.read_bytes())
    data[30 + len("a.bin")] ^= 0b110  # the kind of its first block
    path.write_bytes(data)
    with pytest.raises(EadbenchError, match=r"member cannot be read(.|\n)*a\.bin"):
        read_member(path, "a.bin")
    assert read_member(path, "b.bin") == b"hello"


def test_damaged_and_unknown_archives(tmp_path, bad_tar):
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    for name in ("cut.zip", "a.rar", "missing.tar"):
        with pytest.raises(EadbenchError):
            members(tmp_path / name)
    whole = bad_tar.read_bytes()
    short = tmp_path / "short.tar"
    short.write_bytes(whole[:514])
    with pytest.raises(EadbenchError):
        read_member(short, "video/a.bin")
    with pytest.raises(EadbenchError, match="no such member"):
        read_member(bad_tar, "video/z.bin")


def test_open_media_gives_path_or_bytes(bad_zip):
    assert open_media(bad_zip, None) == bad_zip
    handle = open_media(bad_zip, "good/a.bin")
    assert handle.read() == b"hello" and handle.name.endswith("bad.zip!good/a.bin")
