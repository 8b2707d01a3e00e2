"""No speaker and no source video is in two splits; duplicates across splits are found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eadbench.core.errors import EadbenchError
from eadbench.corpora.config import SplitConfig
from eadbench.corpora.names import safe_ids
from eadbench.corpora.splits import assign, drop_leaks, look_of

ROWS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("uvwxyz")), min_size=1, max_size=30)


@given(
    ROWS,
    st.lists(st.sampled_from("abcdefgh"), max_size=3, unique=True),
    st.lists(st.sampled_from("abcdefgh"), max_size=2, unique=True),
)
def test_splits_share_neither_speaker_nor_video(pairs, test, val):
    val = [name for name in val if name not in test]  # refused before anything is read
    rows = [
        {"recording_id": f"r{k}", "speaker": speaker, "video_key": video}
        for k, (speaker, video) in enumerate(pairs)
    ]
    try:
        assign(rows, SplitConfig(test=test, val=val))
    except EadbenchError as error:
        assert "speaker-disjoint" in error.hint
        return
    for key in ("speaker", "video_key"):
        splits_of = {}
        for row in rows:
            splits_of.setdefault(row[key], set()).add(row["split"])
        assert all(len(splits) == 1 for splits in splits_of.values())
    assert all(row["split"] == "test" for row in rows if row["speaker"] in test)


def test_patterns_recordings_and_conflicts():
    def rows():
        return [
            {"recording_id": f"{speaker}_{k}", "speaker": speaker}
            for speaker in ("M1", "M2", "W1")
            for k in range(2)
        ]

    some = rows()
    assign(some, SplitConfig(test=["W*"], val=["M2_1"], rest="train"))
    assert [row["split"] for row in some] == ["train", "train", "val", "val", "test", "test"]
    with pytest.raises(EadbenchError, match=r"'M1' would be in test .* and in val"):
        assign(rows(), SplitConfig(test=["M*"], val=["M1"]))
    everyone = rows()
    assign(everyone, SplitConfig(rest="test"))
    assert {row["split"] for row in everyone} == {"test"}


def image(seed):
    import cv2

    return cv2.resize(
        np.random.default_rng(seed).integers(0, 255, (6, 8)).astype(np.uint8),
        (160, 120),
        interpolation=cv2.INTER_CUBIC,
    )


def row(name, split, seed=None, **more):
    return {
        "recording_id": name,
        "split": split,
        "status": "kept",
        "reason": "",
        "duration": 5.0,
        "look": None if seed is None else look_of(image(seed)),
        **more,
    }


def test_near_identical_recordings_are_dropped_from_training():
    noisy = np.clip(
        image(1).astype(int) + np.random.default_rng(0).integers(-3, 4, (120, 160)), 0, 255
    ).astype(np.uint8)
    rows = [
        row("t", "test", 1),
        row("same", "train", 1),
        row("other", "train", 2),
        row("longer", "train", 1, duration=9.0),
        row("re-encoded", "val"),
    ]
    rows[4]["look"] = look_of(noisy)
    assert drop_leaks(rows) == 2
    assert [r["status"] for r in rows] == ["kept", "dropped", "kept", "kept", "dropped"]
    assert rows[1]["reason"] == "duplicate: the same recording as t in test"


def test_equal_hashes_are_dropped_whatever_they_show():
    rows = [
        row("t", "val", sha256="f00"),
        row("same", "train", sha256="f00"),
        row("other", "train", sha256="ba2"),
    ]
    assert drop_leaks(rows) == 1 and rows[1]["status"] == "dropped"


def test_black_first_frames_resemble_nothing():
    assert look_of(np.zeros((120, 160), np.uint8)) is None


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=8, unique=True))
def test_ids_are_unique_and_safe(names):
    ids = safe_ids(names)
    assert len(set(ids.values())) == len(names)
    for name in ids.values():
        assert name and name.isascii() and "/" not in name and name not in (".", "..")
