"""Which files of a folder count."""

import os
import sys
import unicodedata

import av
import numpy as np
import pytest

from eadbench.core.errors import EadbenchError
from eadbench.media.files import AUDIO, NOT_UTF8, VIDEO, escaped, find_file, media_files, walk

MPEG2 = (".mpg", ".mpeg", ".mpe", ".vob", ".m2v", ".mxf")
CODECS = {
    ".gif": "gif",
    ".apng": "apng",
    ".webm": "libvpx",
    ".ogv": "libvpx",
    ".ogm": "libvpx",
    ".dv": "dvvideo",
    ".rm": "rv10",
    ".rmvb": "rv10",
    ".y4m": "rawvideo",
    ".flv": "flv",
    ".f4v": "libx264",
} | dict.fromkeys(MPEG2, "mpeg2video")
MUXERS = {
    ".apng": "apng",
    ".qt": "mov",
    ".divx": "avi",
    ".m2t": "mpegts",
    ".mpe": "mpeg",
    ".ogm": "ogg",
    ".rmvb": "rm",
    ".y4m": "yuv4mpegpipe",
    ".ts": "mpegts",
    ".mts": "mpegts",
    ".m2ts": "mpegts",
}
PIXELS = {".gif": "rgb8", ".apng": "rgb24"}


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_hidden_files_and_what_lies_in_hidden_folders_do_not_count(tmp_path):
    root = tmp_path / ".hidden root"
    touch(
        root,
        "a.mp4",
        "._a.mp4",
        ".DS_Store",
        ".ipynb_checkpoints/a-checkpoint.mp4",
        "__MACOSX/._a.mp4",
        "b/.part-9-b.mp4",
        "b/b.mp4",
    )
    assert list(media_files(root).files) == ["a.mp4", "b/b.mp4"]
    assert media_files(root).skipped == {} and media_files(root).note() == ""


def test_suffixes_that_are_not_read_are_counted_and_named(tmp_path):
    touch(tmp_path, "a.MP4", "a.txt", "b.TXT", "README", "c.wav")
    media = media_files(tmp_path)
    assert list(media.files) == ["a.MP4"] and media.skipped == {"": 1, ".txt": 2, ".wav": 1}
    assert media.note().endswith("by their suffix: 2 .txt, 1 without suffix, 1 .wav")
    assert list(media_files(tmp_path, AUDIO).files) == ["a.MP4", "c.wav"]


def test_decomposed_letters_of_a_mac_are_the_same_name(tmp_path):
    for side, form in (("real", "NFC"), ("fake", "NFD")):
        touch(tmp_path / side, unicodedata.normalize(form, "ü/é.mp4"))
    real, fake = (media_files(tmp_path / side) for side in ("real", "fake"))
    assert list(real.files) == list(fake.files) == [unicodedata.normalize("NFC", "ü/é.mp4")]
    assert (
        find_file(tmp_path / "fake", "ü/é.mp4").is_file()
        and find_file(tmp_path / "real", unicodedata.normalize("NFD", "ü/é.mp4")).is_file()
    )


def test_two_files_of_one_name_are_both_named(tmp_path):
    touch(tmp_path, "a.mp4", "a.mov")
    with pytest.raises(EadbenchError, match=r"two files are named 'a'(.|\n)*a\.mov(.|\n)*a\.mp4"):
        media_files(tmp_path).by_stem()
    touch(tmp_path / "both", *(unicodedata.normalize(form, "é.mp4") for form in ("NFC", "NFD")))
    with pytest.raises(EadbenchError, match=r"two files are named 'é\.mp4'"):
        media_files(tmp_path / "both")


def test_links_are_followed_but_not_in_circles(tmp_path):
    root = tmp_path / "root"
    touch(root, "a/one.mp4")
    touch(tmp_path / "elsewhere", "two.mp4")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (root / "a/up").symlink_to(root)
    (root / "file.mp4").symlink_to(root / "a/one.mp4")
    (root / "gone.mp4").symlink_to(tmp_path / "nothing.mp4")
    (root / "self.mp4").symlink_to(root / "self.mp4")
    media = media_files(root)
    assert list(media.files) == ["a/one.mp4", "b/two.mp4", "c/two.mp4", "file.mp4"]
    assert media.problems == dict.fromkeys(["gone.mp4", "self.mp4"], "the link leads nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_said(tmp_path):
    touch(tmp_path, "a.mp4", "closed/b.mp4")
    (tmp_path / "closed").chmod(0)
    try:
        assert media_files(tmp_path).problems == {"closed": "the folder may not be read"}
    finally:
        (tmp_path / "closed").chmod(0o755)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems refuse such names")
def test_a_name_that_is_not_utf8_has_a_reason_and_a_readable_name(tmp_path):
    touch(tmp_path, "a.mp4", os.fsdecode(b"caf\xe9.mp4"))
    media = media_files(tmp_path)
    assert list(media.files) == ["a.mp4"] and media.problems == {"caf%E9.mp4": NOT_UTF8}
    assert escaped("ü%") == "ü%"


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(EadbenchError, match=r"no such folder(.|\n)*nothing"):
        list(walk(tmp_path / "nothing"))


@pytest.mark.parametrize("suffix", sorted(VIDEO))
def test_pyav_reads_every_suffix_that_counts(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w", format=MUXERS.get(suffix)) as out:
        stream = out.add_stream(CODECS.get(suffix, "mpeg4"), rate=25)
        stream.width, stream.height, stream.pix_fmt = (
            *((720, 576) if suffix == ".dv" else (352, 288)),
            PIXELS.get(suffix, "yuv420p"),
        )
        for k in range(5):
            frame = av.VideoFrame.from_ndarray(
                np.full((stream.height, stream.width, 3), 40 * k, np.uint8), "rgb24"
            )
            out.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        out.mux(stream.encode())
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 4
