from dataclasses import replace

import faces
import numpy as np
import pandas as pd
import pytest

from eadbench.captions import measures as m
from eadbench.captions.config import MeasuredConfig
from eadbench.captions.measured import MeasuredCaptioner, name_emotion
from eadbench.captions.wording import cue_phrases, label_text, label_texts, wording
from eadbench.core import schemas
from eadbench.core.emotions import EMOTIONS
from eadbench.core.tables import read_rows, read_table

ZERO = dict.fromkeys(m.MEASURES, 0.0)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return faces.make_table(tmp_path_factory.mktemp("faces") / "clips")


def describe(path, config=None, seed=1, rows=None):
    clips = list(read_rows(path, schemas.CLIPS))
    captioner = MeasuredCaptioner(clips, config or MeasuredConfig(), seed)
    chosen = clips if rows is None else rows(clips)
    return read_table(path, schemas.CLIPS), {o.clip_id: o for o in captioner.describe(chosen)}


@pytest.mark.parametrize(
    ("action", "measure", "sign"),
    [
        ({"brow": 0.1}, "brow_height", 1),
        ({"tilt": 0.1}, "brow_tilt", 1),
        ({"eye": 0.05}, "eye_opening", 1),
        ({"squint": 0.03}, "lower_lid", 1),
        ({"corners": 0.1}, "mouth_corners", 1),
        ({"width": 0.1}, "mouth_width", 1),
        ({"open": 0.1}, "mouth_opening", 1),
        ({"side": -0.1}, "mouth_side", -1),
    ],
)
def test_each_action_moves_its_measure_by_its_size(action, measure, sign):
    rest, acted = (m.frame_measures(faces.mesh(**a)[None])[measure][0] for a in ({}, action))
    size = abs(next(iter(action.values())))
    assert np.sign(acted - rest) == sign
    assert abs(acted - rest) == pytest.approx(size, rel=0.35)


def test_measures_do_not_depend_on_place_size_or_roll():
    plain = m.frame_measures(faces.mesh(brow=0.05)[None])
    moved = m.frame_measures(faces.mesh(brow=0.05, shift=(31, -17), pixels=23, angle=0.4)[None])
    for name, value in plain.items():
        np.testing.assert_allclose(moved[name], value, atol=1e-9, err_msg=name)


def test_blinks_and_missing_frames_do_not_move_a_clip():
    rng = np.random.default_rng(0)
    track = faces.speaking({}, 40, rng)
    box, matrix = np.concatenate([track.min(1), track.max(1)], 1), np.repeat(np.eye(2, 3)[None], 40, 0)
    whole = m.clip_measures(track, box, matrix)
    track[[3, 9, 30]] = np.nan
    box[[3, 9, 30]] = np.nan
    holes = m.clip_measures(track, box, matrix)
    assert holes == pytest.approx(whole, abs=0.01)
    with pytest.raises(ValueError, match="no frame"):
        m.clip_measures(np.full_like(track, np.nan), box, matrix)
    with pytest.raises(ValueError, match="shape"):
        m.clip_measures(track[:, :68], box, matrix)


def test_emotions_are_named_from_faces_alone(table):
    clips, outcomes = describe(table)
    named = (
        clips.set_index("clip_id")
        .emotion.to_frame()
        .assign(got={k: o.answer.emotion for k, o in outcomes.items()}, level=list(clips.level))
    )
    right = named.emotion == named.got
    assert right.mean() > 0.8, pd.crosstab(named.emotion, named.got)


def test_labels_are_never_looked_at(table):
    clips = list(read_rows(table, schemas.CLIPS))
    blind = [replace(clip, emotion=None, emotion_raw=None, level=None, intensity=None) for clip in clips]
    seen, unseen = (
        [o.answer for o in MeasuredCaptioner(t, MeasuredConfig(), 1).describe(t)] for t in (clips, blind)
    )
    assert seen == unseen


def test_intensity_follows_the_level(table):
    clips, outcomes = describe(table)
    strength = (
        clips.assign(i=[outcomes[c].answer.intensity for c in clips.clip_id])[clips.emotion != "neutral"]
        .groupby("level")
        .i.mean()
    )
    assert strength[1] < strength[2] <= strength[3]


def test_captions_do_not_depend_on_which_others_are_described(table):
    _, whole = describe(table)
    _, some = describe(table, rows=lambda clips: clips[::5])
    assert some == {key: whole[key] for key in some}


def test_phrasing_varies_with_clip_and_seed(table):
    _, first = describe(table, seed=1)
    _, two = describe(table, seed=2)
    texts = [o.answer.description for o in first.values()]
    assert len(set(texts)) > 0.9 * len(texts)
    assert {k: o.answer.emotion for k, o in first.items()} == {k: o.answer.emotion for k, o in two.items()}
    assert any(first[k].answer.description != two[k].answer.description for k in first)


def test_damaged_track_costs_its_own_clip_only(table, tmp_path):
    folder = tmp_path / "copy"
    path = faces.make_table(folder, speakers=2)
    clips = read_table(path, schemas.CLIPS)
    (folder / clips.track[0]).write_bytes(b"PK\x03\x04 no zip")
    (folder / clips.track[1]).unlink()
    _, outcomes = describe(path)
    assert "cannot be used" in outcomes[clips.clip_id[0]].reason
    assert "missing" in outcomes[clips.clip_id[1]].reason
    assert sum(o.answer is not None for o in outcomes.values()) == len(clips) - 2


def test_nothing_stands_out_is_neutral_and_weak_is_weak():
    assert name_emotion(ZERO)[0] == "neutral"
    pattern = wording()["emotions"]["happy"]["pattern"]
    weak, strong = (name_emotion({**ZERO, **{k: v * s for k, v in pattern.items()}}) for s in (0.6, 1.2))
    assert weak[0] == strong[0] == "happy"
    assert weak[1] < strong[1] <= 1
    assert weak[2] < strong[2] <= 1


def test_every_pattern_is_named_by_itself():
    for emotion, entry in wording()["emotions"].items():
        if entry["pattern"]:
            assert name_emotion({**ZERO, **entry["pattern"]})[0] == emotion
            assert set(entry["pattern"]) <= set(m.MEASURES)


def test_cues_are_sorted_by_strength_and_all_can_be_said():
    said = cue_phrases({**ZERO, "brow_height": 0.9, "eye_opening": -3.0}, lambda options: options[0])
    assert said == ["the eyes are strongly narrowed", "the brows are slightly raised"]
    for measure in m.MEASURES:
        for value in (-3.0, 3.0):
            if (measure, value) != ("asymmetry", -3.0):
                assert cue_phrases({**ZERO, measure: value}, lambda options: options[-1]), (measure, value)


def test_labels_of_all_emotions_differ_by_emotion_and_grade():
    texts = {(e, i): label_texts(e, i) for e in EMOTIONS for i in (1 / 3, 2 / 3, 1.0)}
    assert label_text("happy", None) == label_text("happy", 1.0) == label_text("happy", float("nan"))
    assert len({label_text(e, 1.0) for e in EMOTIONS}) == len(EMOTIONS)
    for emotion in EMOTIONS:
        if wording()["emotions"][emotion]["pattern"]:
            assert len({texts[emotion, i] for i in (1 / 3, 2 / 3, 1.0)}) == 3
    with pytest.raises(KeyError):
        label_text("hangry")
