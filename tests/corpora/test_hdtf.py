"""HDTF's lists with all their quirks, and the fetching of its videos."""

import json

import pytest
from material import face_video

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table
from eadbench.corpora.config import CorporaConfig
from eadbench.corpora.fetch import fetch
from eadbench.corpora.hdtf import choose_formats
from eadbench.corpora.hdtf_lists import read_lists, scaled_crop
from eadbench.corpora.index import index

URLS = "\ufeffAnnBlue0 http://studio.invalid/watch?v=aaaaaaaaaa1&t=46s\nBobRed http://studio.invalid/watch?v=bbbbbbbbbb1\n"
URLS += (
    "JamesRed1 http://studio.invalid/watch?v=aaaaaaaaaa1\nDeafGrey http://studio.invalid/watch?v=cccccccccc1\nBroke http://studio.invalid/playlist"
)
TIMES = "AnnBlue0.mp4 00:00-00:01 00:01-00:03 \nBobRed.mp4 00:00-01:02:03.5\nJamesRed1.mp4 00:01-00:02\nBroke.mp4 00:05-00:01\nNoUrl.mp4 00:00-00:09"


@pytest.fixture
def studio(tmp_path):
    """A served folder: one video under two names, one gone, one without times, one without address."""
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
    return CorporaConfig(sets={"h": {"kind": "hdtf", "groups": ["WDA"], "studio": {"layout": "hdtf", "actors": ["WDA/AnnBlue0"]}, **more}})


def run(studio, folder, settings):
    fetch("h", studio / "studio.json", folder / "fetch.json", settings)
    index("h", folder / "fetch.json", folder / "index.parquet", settings)
    return read_table(folder / "index.parquet", schemas.INDEX).set_index("recording_id")


def test_fetch_and_index(studio, tmp_path):
    table = run(studio, tmp_path / "out", config(split={"test": ["AnnBlue"]}))
    assert table["status"].to_dict() == {
        "WDA_AnnBlue0_000": "kept", "WDA_AnnBlue0_001": "kept", "WDA_BobRed_000": "failed", "WDA_Broke_000": "failed", "WDA_DeafGrey_none": "failed",
        "WDA_JamesRed1_000": "kept", "WDA_NoUrl_000": "failed",
    }  # fmt: skip
    reasons = table["reason"].str.split(":").str[0]
    assert reasons["WDA_BobRed_000"] == "not fetched" and "404" in table["reason"]["WDA_BobRed_000"]
    assert reasons["WDA_Broke_000"] == "untimed" and reasons["WDA_DeafGrey_none"] == "untimed" and reasons["WDA_NoUrl_000"] == "no address"
    ann = table.loc["WDA_AnnBlue0_000"]
    assert [ann[f"crop_{side}"] for side in "xywh"] == [80, 10, 160, 160] and (ann["start"], ann["end"]) == (0, 1)
    # One video under two names: whoever is named in the split takes the other along.
    assert table["split"][["WDA_AnnBlue0_000", "WDA_AnnBlue0_001", "WDA_JamesRed1_000"]].tolist() == ["test"] * 3
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
    return [one["format_id"] for one in choose_formats({"formats": list(formats)}, max_height=720)]


def test_picture_and_sound_apart_need_no_merging():
    sound = {"format_id": "m4a", "ext": "m4a", "vcodec": "none", "acodec": "mp4a"}
    silent = [{"format_id": str(height), "ext": "mp4", "height": height, "vcodec": "avc1", "acodec": "none"} for height in (360, 720, 1080)]
    both = {"format_id": "both", "ext": "mp4", "height": 360, "vcodec": "avc1", "acodec": "mp4a"}
    assert chosen_formats(both, sound, *silent) == ["720", "m4a"]
    assert chosen_formats(both, *silent) == ["both"]
    assert chosen_formats(sound, *silent[2:]) == ["1080", "m4a"]  # rather too high than nothing
    assert chosen_formats({"format_id": "direct", "ext": "mp4"}) == ["direct"]


def test_nothing_without_leave(tmp_path):
    settings = CorporaConfig(sets={"h": {"kind": "hdtf"}})
    with pytest.raises(EadbenchError, match="not accepted") as caught:
        fetch("h", None, tmp_path / "fetch.json", settings)
    assert "accept_licence: [hdtf]" in str(caught.value) and "CC BY 4.0" in str(caught.value)
