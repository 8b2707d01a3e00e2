"""HDTF's lists with all their quirks, and the fetching of its videos."""

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from material import face_video

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table
from eadbench.corpora import hdtf
from eadbench.corpora.config import CorporaConfig, HdtfCorpus
from eadbench.corpora.fetch import fetch
from eadbench.corpora.hdtf import choose_formats
from eadbench.corpora.hdtf_lists import LISTS, read_lists, scaled_crop
from eadbench.corpora.index import index
from eadbench.corpora.origin import Origin

URLS = (
    "\ufeffAnnBlue0 http://studio.invalid/watch?v=aaaaaaaaaa1&t=46s\nBobRed "
    "http://studio.invalid/watch?v=bbbbbbbbbb1\n"
)
URLS += (
    "JamesRed1 http://studio.invalid/watch?v=aaaaaaaaaa1\nDeafGrey "
    "http://studio.invalid/watch?v=cccccccccc1\nBroke http://studio.invalid/playlist"
)
TIMES = (
    "AnnBlue0.mp4 00:00-00:01 00:01-00:03 \nBobRed.mp4 00:00-01:02:03.5\nJamesRed1.mp4 "
    "00:01-00:02\nBroke.mp4 00:05-00:01\nNoUrl.mp4 00:00-00:09"
)


@pytest.fixture
def studio(tmp_path):
    """A served folder: one video under two names, one gone, one without times, one
    without address.
    """
    folder = tmp_path / "studio"
    face_video(folder / "videos" / "aaaaaaaaaa1.mp4", 3.2, width=320, height=180, scale=0.5)
    face_video(folder / "videos" / "cccccccccc1.mp4", 1.0, width=160, height=160)
    (folder / "WDA_video_url.txt").write_text(URLS)
    (folder / "WDA_annotion_time.txt").write_text(TIMES)
    (folder / "WDA_resolution.txt").write_text("AnnBlue0.mp4 720\nBobRed.mp4 0")
    (folder / "WDA_crop_wh.txt").write_text("AnnBlue0_0.mp4 320 640 40 640\nBobRed_0.mp4 0 100 0 100")
    (folder / "WDA_crop_ratio.txt").write_text("AnnBlue0_0.mp4 1.2")
    (folder / "studio.json").write_text("{}")
    return folder


def test_lists_as_they_are(studio):
    videos = {video.name: video for video in read_lists(studio, "WDA")}
    ann = videos["AnnBlue0"]  # its name follows a byte order mark
    assert (ann.key, ann.height, ann.speaker) == ("aaaaaaaaaa1", 720, "AnnBlue")
    assert ann.stretches == [(0, 1), (1, 3)] and ann.crops == [(320, 40, 640, 640), None]
    assert videos["BobRed"].stretches == [(0, 3723.5)]
    assert videos["DeafGrey"].stretches == [] and videos["NoUrl"].key is None
    assert "no video id" in videos["Broke"].problems[0] and "00:05-00:01" in videos["Broke"].problems[1]


@pytest.mark.parametrize(
    ("crop", "listed", "expected"),
    [
        ((320, 40, 640, 640), 720, (80, 10, 160, 160)),  # fetched at a quarter of the listed height
        ((0, 0, 180, 180), 180, (0, 0, 180, 180)),
        ((0, 0, 181, 181), 180, (0, 0, 181, 180)),
        ((100, 0, 776, 776), 720, None),  # larger than the listed height, as five of the real ones are
        ((0, 0, 100, 100), 0, None),
        ((0, 0, 100, 100), None, None),
    ],
)
def test_crops_at_the_height_obtained(crop, listed, expected):
    assert scaled_crop(crop, listed, 320, 180) == expected


def config(**more) -> CorporaConfig:
    return CorporaConfig(
        sets={
            "h": {
                "kind": "hdtf",
                "groups": ["WDA"],
                "studio": {"layout": "hdtf", "actors": ["WDA/AnnBlue0"]},
                **more,
            }
        }
    )


def run(studio, folder, settings):
    fetch("h", studio / "studio.json", folder / "fetch.json", settings)
    index("h", folder / "fetch.json", folder / "index.parquet", settings)
    return read_table(folder / "index.parquet", schemas.INDEX).set_index("recording_id")


def test_fetch_and_index(studio, tmp_path):
    table = run(studio, tmp_path / "out", config(split={"test": ["AnnBlue"]}))
    assert table["status"].to_dict() == {
        "WDA_AnnBlue0_000": "kept",
        "WDA_AnnBlue0_001": "kept",
        "WDA_BobRed_000": "failed",
        "WDA_Broke_000": "failed",
        "WDA_DeafGrey_none": "failed",
        "WDA_JamesRed1_000": "kept",
        "WDA_NoUrl_000": "failed",
    }
    reasons = table["reason"].str.split(":").str[0]
    assert reasons["WDA_BobRed_000"] == "not fetched" and "404" in table["reason"]["WDA_BobRed_000"]
    assert (
        reasons["WDA_Broke_000"] == "untimed"
        and reasons["WDA_DeafGrey_none"] == "untimed"
        and reasons["WDA_NoUrl_000"] == "no address"
    )
    ann = table.loc["WDA_AnnBlue0_000"]
    assert [ann[f"crop_{side}"] for side in "xywh"] == [80, 10, 160, 160] and (ann["start"], ann["end"]) == (
        0,
        1,
    )
    # One video under two names: whoever is named in the split takes the other along.
    assert (
        table["split"][["WDA_AnnBlue0_000", "WDA_AnnBlue0_001", "WDA_JamesRed1_000"]].tolist() == ["test"] * 3
    )
    assert table["split"]["WDA_BobRed_000"] == "train"


def test_a_second_fetch_asks_only_for_what_may_come_back(studio, tmp_path):
    out, settings = tmp_path / "out", config()
    fetch("h", studio / "studio.json", out / "fetch.json", settings)
    states = {path.stem: json.loads(path.read_text()) for path in (out / "raw" / "videos").glob("*.json")}
    assert states["bbbbbbbbbb1"]["gone"] and states["aaaaaaaaaa1"]["status"] == "kept"
    video = out / "raw" / "videos" / states["aaaaaaaaaa1"]["video"]
    then = video.stat().st_mtime_ns
    (out / "raw" / "videos" / states["cccccccccc1"]["video"]).unlink()
    fetch("h", studio / "studio.json", out / "fetch.json", settings)
    assert video.stat().st_mtime_ns == then
    assert (out / "raw" / "videos" / states["cccccccccc1"]["video"]).exists()


@pytest.mark.parametrize(
    ("reason", "gone"),
    [
        ("[youtube] x: Video unavailable. This video has been removed by the uploader", True),
        (
            "[youtube] x: Video unavailable. This video is no longer available because the YouTube account "
            "associated with it has been terminated.",
            True,
        ),
        ("[youtube] x: Private video. Sign in if you've been granted access to this video", True),
        ("[youtube] x: Video unavailable", True),
        ("[youtube] x: This video is unavailable", True),
        (
            "[youtube] x: Video unavailable. This video is no longer available due to a copyright claim by "
            "Someone",
            True,
        ),
        ("[generic] Unable to download webpage: HTTP Error 404: Not Found", True),
        (
            "[youtube] x: Video unavailable. This content isn't available, try again later. The current "
            "session has been rate-limited by YouTube for "
            "up to an hour. It is recommended to use `-t sleep` to add a delay between video requests to "
            "avoid exceeding the rate limit.",
            False,
        ),
        (
            "[youtube] x: Video unavailable. The uploader has not made this video available in your country",
            False,
        ),
        (
            "[youtube] x: The uploader has not made this video available in your country\nThis video is "
            "available in Japan.",
            False,
        ),
        (
            "[youtube] x: Video unavailable. This video contains content from A, who has blocked it in "
            "your country on copyright grounds",
            False,
        ),
        (
            "[youtube] x: Sign in to confirm you're not a bot. Use --cookies-from-browser or --cookies for "
            "the authentication.",
            False,
        ),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users.", False),
        ("Unable to download webpage: HTTP Error 503: Service Unavailable", False),
        ("Unable to download webpage: HTTP Error 429: Too Many Requests", False),
        ("Unable to download video data: HTTP Error 403: Forbidden", False),
        (
            "Unable to download API page: <urlopen error [Errno -3] Temporary failure in name resolution>",
            False,
        ),
        ("Requested format is not available. Use --list-formats for a list of available formats", False),
    ],
)
def test_gone_is_only_what_will_not_come_back(reason, gone):
    assert hdtf.is_gone(f"not fetched: {reason}") is gone


def test_a_video_that_an_earlier_version_took_for_gone_is_asked_for_again(studio, tmp_path):
    out, settings = tmp_path / "out", config()
    fetch("h", studio / "studio.json", out / "fetch.json", settings)
    path = out / "raw" / "videos" / "aaaaaaaaaa1.json"
    limited = {
        "status": "failed",
        "gone": True,
        "video": None,
        "audio": None,
        "reason": "not fetched: This content isn't available, try again later.",
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | limited))
    fetch("h", studio / "studio.json", out / "fetch.json", settings)
    assert json.loads(path.read_text())["status"] == "kept"


class Deno:
    """What yt-dlp finds out about a runtime."""

    def __init__(self, version):
        self.info = version and SimpleNamespace(version=version, supported=version >= "2.3")


@pytest.mark.parametrize(
    ("version", "scripts", "words"),
    [
        (None, True, "finds no JavaScript runtime"),
        ("1.40", True, "finds deno 1.40, which is too old"),
        ("2.9.8", False, "yt-dlp-ejs"),
        ("2.9.8", True, None),
    ],
)
def test_what_youtube_needs_is_looked_for_before_the_first_video(
    tmp_path, monkeypatch, version, scripts, words
):
    from yt_dlp.globals import supported_js_runtimes

    monkeypatch.setitem(supported_js_runtimes.value, "deno", lambda: Deno(version))
    monkeypatch.setattr(hdtf.importlib.util, "find_spec", lambda name: scripts or None)
    fetched_keys = []
    monkeypatch.setattr(
        hdtf,
        "_fetch_video",
        lambda origin, raw, key, *rest: (
            fetched_keys.append(key) or {"status": "failed", "reason": "x", "gone": False}
        ),
    )
    write_lists(tmp_path / "raw/lists")
    settings = HdtfCorpus(kind="hdtf", groups=["WDA"], pause=0)
    if words is None:
        hdtf.fetch(Origin(), tmp_path / "raw", settings)
        assert fetched_keys
        return
    with pytest.raises(EadbenchError, match=words) as caught:
        hdtf.fetch(Origin(), tmp_path / "raw", settings)
    assert not fetched_keys and "install" in str(caught.value)


def write_lists(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, line in {
        "video_url": "Ann https://www.youtube.com/watch?v=abcdefghijk",
        "annotion_time": "Ann 00:01-00:03",
    }.items():
        (folder / f"WDA_{name}.txt").write_text(f"{line}\n")
    for name in LISTS:
        if not (folder / f"WDA_{name}.txt").exists():
            (folder / f"WDA_{name}.txt").write_text("")


def test_a_partial_video_is_resumed(studio, tmp_path):
    out = tmp_path / "out"
    whole = (studio / "videos" / "aaaaaaaaaa1.mp4").read_bytes()
    (out / "raw" / "videos").mkdir(parents=True)
    (out / "raw" / "videos" / "aaaaaaaaaa1.mp4.mp4.part").write_bytes(whole[:5000])
    fetch("h", studio / "studio.json", out / "fetch.json", config(videos=["AnnBlue0"]))
    assert (out / "raw" / "videos" / "aaaaaaaaaa1.mp4.mp4").read_bytes() == whole


def test_a_folder_of_the_users(studio, tmp_path):
    settings = CorporaConfig(sets={"h": {"kind": "hdtf", "groups": ["WDA"], "root": str(studio)}})
    fetch("h", None, tmp_path / "fetch.json", settings)
    index("h", tmp_path / "fetch.json", tmp_path / "index.parquet", settings)
    assert (read_table(tmp_path / "index.parquet", schemas.INDEX)["status"] == "kept").sum() == 3


def chosen_formats(*formats):
    return [format_["format_id"] for format_ in choose_formats({"formats": list(formats)}, max_height=720)]


def test_separate_video_and_audio_need_no_merging():
    audio = {"format_id": "m4a", "ext": "m4a", "vcodec": "none", "acodec": "mp4a"}
    silent = [
        {"format_id": str(height), "ext": "mp4", "height": height, "vcodec": "avc1", "acodec": "none"}
        for height in (360, 720, 1080)
    ]
    both = {"format_id": "both", "ext": "mp4", "height": 360, "vcodec": "avc1", "acodec": "mp4a"}
    assert chosen_formats(both, audio, *silent) == ["720", "m4a"]
    assert chosen_formats(both, *silent) == ["both"]
    assert chosen_formats(audio, *silent[2:]) == ["1080", "m4a"]  # rather too high than nothing
    assert chosen_formats({"format_id": "direct", "ext": "mp4"}) == ["direct"]


def test_nothing_is_fetched_before_the_terms_are_accepted(tmp_path):
    settings = CorporaConfig(sets={"h": {"kind": "hdtf"}})
    with pytest.raises(EadbenchError, match="not accepted") as caught:
        fetch("h", None, tmp_path / "fetch.json", settings)
    assert "accept_licence: [hdtf]" in str(caught.value) and "CC BY 4.0" in str(caught.value)


def test_ready_videos_of_a_mirror_take_the_place_of_what_is_gone_and_need_no_lists(studio, tmp_path):
    """In a folder and in a zip; whole, without crop, and by the same ids, so that
    splits and lists hold for both sources.
    """
    root = tmp_path / "mirror"
    face_video(root / "videos" / "WDA_BobRed_000.mp4", 1.2, width=160, height=160)
    face_video(tmp_path / "other.mp4", 2.4, width=240, height=160, scale=0.4)
    with zipfile.ZipFile(root / "videos.zip", "w") as archive:
        archive.write(tmp_path / "other.mp4", "videos/WRA_RuthStone0_001.mp4")
        archive.writestr("videos/readme.txt", "no video")
    settings = CorporaConfig(
        sets={"h": {"kind": "hdtf", "root": str(root), "split": {"test": ["RuthStone"]}}}
    )

    def listed(out):
        fetch("h", None, tmp_path / out / "fetch.json", settings)
        index("h", tmp_path / out / "fetch.json", tmp_path / out / "index.parquet", settings)
        return read_table(tmp_path / out / "index.parquet", schemas.INDEX).set_index("recording_id")

    alone = listed("alone")
    assert alone["status"].to_dict() == {"WDA_BobRed_000": "kept", "WRA_RuthStone0_001": "kept"}
    assert alone["speaker"].to_dict() == {"WDA_BobRed_000": "BobRed", "WRA_RuthStone0_001": "RuthStone"}
    assert alone.loc["WRA_RuthStone0_001", ["member", "split"]].tolist() == [
        "videos/WRA_RuthStone0_001.mp4",
        "test",
    ]
    assert alone[["start", "end", "crop_x"]].isna().all(axis=None)
    for path in studio.glob("WDA_*.txt"):
        (root / path.name).write_text(path.read_text())
    both = listed("both")
    assert both.loc["WDA_BobRed_000", "status"] == "kept" and pd.isna(both.loc["WDA_BobRed_000", "end"])
    assert both.loc["WDA_AnnBlue0_000", "status"] == "failed" and both.loc["WDA_AnnBlue0_000", "end"] == 1
    assert "WRA_RuthStone0_001" in both.index, "a ready video that the lists do not name"
