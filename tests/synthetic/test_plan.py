"""Who says what: texts, cast, jobs."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from eadbench.core.emotions import EMOTIONS
from eadbench.synthetic import texts
from eadbench.synthetic.acting import EXPRESSIONS, PROSODIES
from eadbench.synthetic.cast import cast, speaker_of
from eadbench.synthetic.config import StudioConfig
from eadbench.synthetic.jobs import hdtf_cuts, jobs_of, video_id
from eadbench.synthetic.production import mead_like_config


def test_every_emotion_has_a_face_and_a_voice():
    assert set(EXPRESSIONS) == set(PROSODIES) == set(EMOTIONS)


def test_expressions_scale_mix_and_mirror():
    e = EXPRESSIONS["contempt"]
    assert e.times(0.5).asym == 0.5 * e.asym
    assert e.mixed(EXPRESSIONS["neutral"], 1.0) == EXPRESSIONS["neutral"]
    assert e.mirrored().asym == -e.asym and e.mirrored().mirrored() == e


def test_training_and_test_share_no_sentence():
    assert not set(texts.TRAIN) & set(texts.TEST)
    assert not set(texts.RAVDESS) & {*texts.TRAIN, *texts.TEST}


def test_cast_depends_on_seed_layout_and_name_only():
    assert cast(1, "mead", "M003") == cast(1, "mead", "M003")
    assert cast(1, "mead", "M003") != cast(2, "mead", "M003")
    assert cast(1, "hdtf", "RD/Radio1").skin != cast(1, "mead", "M003").skin
    assert cast(1, "mead", "W009").sex == cast(1, "ravdess", "Actor_02").sex == "female"


def test_videos_of_one_speaker_show_one_identity():
    assert speaker_of("WDA/OliveMarsh0") == speaker_of("WDA/OliveMarsh12") == "OliveMarsh"
    assert (
        speaker_of("RD/Radio1") == "Radio1"
        and speaker_of("M003") == "M003"
        and speaker_of("Actor_01") == "Actor_01"
    )
    assert cast(1, "hdtf", "WDA/OliveMarsh0") == cast(1, "hdtf", "WDA/OliveMarsh1")


def test_actors_differ_and_all_skin_tones_occur():
    people = [cast(20260425, "mead", f"{'MW'[k % 2]}{k:03d}") for k in range(40)]
    looks = [
        np.array([*p.skin, *p.hair_colour, 4 * p.half_width, 4 * p.chin, 4 * p.mouth_width]) for p in people
    ]
    assert min(np.linalg.norm(a - b) for a, b in combinations(looks, 2)) > 8
    brightness = [np.mean(p.skin) for p in people]
    assert min(brightness) < 90 and max(brightness) > 190
    assert len({p.hair for p in people}) >= 10 and len({p.voice for p in people}) >= 15


def test_mead_crosses_actors_with_emotions_and_keeps_test_sentences_apart():
    config = StudioConfig(layout="mead", actors=["M003", "M005", "W009"], test_actors=["M003"])
    jobs = jobs_of(config, 1)
    assert len(jobs) == 3 * 22 and len({job.key for job in jobs}) == len(jobs)
    for actor in config.actors:
        actor_jobs = [job for job in jobs if job.actor == actor]
        count = Counter(job.lines[0][1] for job in actor_jobs)
        assert count == {e: 1 if e == "neutral" else 3 for e in EMOTIONS if e != "calm"}
        spoken = {job.lines[0][0] for job in actor_jobs}
        assert spoken <= set(texts.TEST if actor == "M003" else texts.TRAIN)
    assert (
        jobs[0].key == "M003/video/front/angry/level_1/001.mp4"
        and jobs[0].audio == "M003/audio/angry/level_1/001.m4a"
        and not jobs[0].sound
    )


def test_ravdess_names_have_the_seven_fields():
    jobs = jobs_of(StudioConfig(layout="ravdess", actors=["Actor_02"], sentences=2, repetitions=2), 1)
    names = [job.key.rpartition("/")[2].removesuffix(".mp4").split("-") for job in jobs]
    assert all(len(n) == 7 and all(len(f) == 2 for f in n) and n[6] == "02" for n in names)
    with_audio = [n for n in names if n[0] == "01"]
    assert len(with_audio) == 60  # as in the original: 4 neutral, 7 x 8 others
    assert not [n for n in with_audio if n[2] == "01" and n[3] == "02"]
    assert all(not job.sound for job in jobs if "/02-" in job.key)


@pytest.mark.parametrize("seconds", [6.0, 10.0, 20.0, 45.0, 90.0])
def test_cuts_are_in_order_and_within_the_video(seconds):
    cuts = hdtf_cuts(seconds)
    order = [cuts[name] for name in ("card", "second", "slide", "after", "end")]
    assert order == sorted(order) and order[-1] < seconds and cuts["slide"] - cuts["card"] >= 3


def test_video_ids_look_like_the_sites():
    assert len(video_id("WDA/OliveMarsh0")) == 11 and video_id("a") != video_id("b")


def test_mead_like_config_gives_the_length_that_is_asked():
    config = mead_like_config(40, 60, 256)
    seconds = 2.6 * len(jobs_of(config, 1))
    assert len(config.actors) == 40 and 60 * 60 <= seconds < 2.2 * 60 * 60
    assert mead_like_config(48, 1, 128).sentences == 1


def test_levels_in_turn_give_each_actor_each_emotion_once_and_each_emotion_all_levels():
    actors = ["M003", "M005", "W009"]
    keys = [
        job.key.split("/")
        for job in jobs_of(StudioConfig(layout="mead", actors=actors, levels_in_turn=True), 1)
    ]
    assert len(keys) == 8 * len(actors)
    levels = {word: {key[4] for key in keys if key[3] == word} for word in {key[3] for key in keys}}
    assert levels.pop("neutral") == {"level_1"}
    assert all(word_levels == {"level_1", "level_2", "level_3"} for word_levels in levels.values())
