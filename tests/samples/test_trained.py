"""Trained methods from end to end, with random weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.files import sha256_of
from eadbench.core.tables import read_table
from eadbench.media.audio import read_audio
from eadbench.media.video import read_frames
from eadbench.samples.make import make
from eadbench.training.run import load_run

FULL = {"full": {"kind": "eadnet", "run": "full", "corpora": ["tiny"]}}


def rendered(world, out: Path, protocol: str = "self", methods: dict = FULL, **samples) -> pd.DataFrame:
    (name,) = methods
    make(
        name, "tiny", protocol, world.clips, world.context(out, methods, methods[name]["run"], **samples), out
    )
    return read_table(out, schemas.SAMPLES)


def test_eadnet_renders_every_test_clip(world, tmp_path: Path) -> None:
    out = tmp_path / "samples.parquet"
    table = rendered(world, out)
    assert table["status"].tolist() == ["kept", "kept"], table["reason"].tolist()
    assert (table["frames"] == 50).all() and (table["reference_clip"] != table["clip_id"]).all()
    assert (table["caption_source"] == "label").all(), "no training clip has these labels"
    assert (
        table["run_hash"].str.len().eq(64).all()
        and (table["realtime_factor"] > 0).all()
        and (table["peak_mb"] > 0).all()
    )
    with av.open(str(tmp_path / table["video"][0])) as file:
        assert "synthetic" in file.metadata["comment"]
        assert file.streams.audio and float(file.streams.video[0].average_rate) == 25


def test_bytes_do_not_depend_on_what_else_is_rendered(world, tmp_path: Path) -> None:
    both = rendered(world, tmp_path / "a" / "samples.parquet")
    single = rendered(world, tmp_path / "b" / "samples.parquet", max_clips=1)
    (clip,) = single["clip_id"]
    assert len(both) == 2
    assert (tmp_path / "a/videos" / f"{clip}.mp4").read_bytes() == (
        tmp_path / "b/videos" / f"{clip}.mp4"
    ).read_bytes()


def test_outside_of_the_mask_is_the_clip_itself(world, tmp_path: Path) -> None:
    from eadbench.models.masks import mask_for

    out = tmp_path / "samples.parquet"
    row = rendered(world, out, max_clips=1, crf=1).iloc[0]
    ours = read_frames(tmp_path / row["video"]).astype(int)
    theirs = read_frames(world.clips.parent / "videos" / f"{row['clip_id']}.mp4").astype(int)
    keep = mask_for("face", 64)[0].bool().numpy()
    keep[:, 10:54] = False  # chroma of 4:2:0 bleeds over the edge: look at the columns away from it
    difference = np.abs(ours - theirs)
    assert difference[:, keep].mean() < 2
    assert difference[:, ~mask_for("face", 64)[0].bool().numpy()].mean() > 5, (
        "an untrained network cannot have drawn the clip"
    )


def test_cross_takes_the_other_clips_audio_and_emotion(world, tmp_path: Path) -> None:
    cross = rendered(world, tmp_path / "c" / "samples.parquet", "cross")
    assert (cross["driving_clip"] != cross["clip_id"]).all() and set(cross["status"]) == {"kept"}
    emotion = rendered(world, tmp_path / "e" / "samples.parquet", "cross_emotion")
    own = read_table(world.clips, schemas.CLIPS).set_index("clip_id")["emotion"]
    assert (emotion["target_emotion"] == own[emotion["driving_clip"]].to_numpy()).all()
    assert (emotion["target_emotion"] != own[emotion["clip_id"]].to_numpy()).all()
    for clip in cross["clip_id"]:  # other emotion, same audio: other pixels
        assert (tmp_path / f"c/videos/{clip}.mp4").read_bytes() != (
            tmp_path / f"e/videos/{clip}.mp4"
        ).read_bytes()


@pytest.mark.parametrize("kind", ["eadnet", "wav2lip"])
def test_silence_drives_what_was_trained(world, tmp_path: Path, kind: str) -> None:
    """The network gets silence: other pixels than with the clip's own audio, and a
    silent result.
    """
    run = {"eadnet": "full"}.get(kind, kind)
    methods = {kind: {"kind": kind, "run": run, "corpora": ["tiny"]}}
    own = rendered(world, tmp_path / "own/samples.parquet", methods=methods, max_clips=1).iloc[0]
    row = rendered(world, tmp_path / "silent/samples.parquet", "silent", methods, max_clips=1).iloc[0]
    assert row.status == "kept" and pd.isna(row.driving_clip) and row.frames == own.frames, row.reason
    assert row.target_emotion == own.target_emotion
    videos = [read_frames(tmp_path / name / row.video).astype(int) for name in ("own", "silent")]
    if kind == "eadnet":  # random weights of the other hardly listen
        assert np.abs(videos[0] - videos[1]).mean() > 0
    assert np.abs(read_audio(tmp_path / "own" / row.video)).max() > 1e-2
    assert np.abs(read_audio(tmp_path / "silent" / row.video)).max() < 1e-4


def test_the_dial_changes_runs_that_read_the_intensity(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two intensities give other pixels of the same clip; a run without
    valence-arousal-intensity has rows with that reason.
    """
    low, high = (
        rendered(world, tmp_path / cell / "samples.parquet", cell, max_clips=1).iloc[0]
        for cell in ("dial_0.2", "dial_1")
    )
    assert (low.target_intensity, high.target_intensity) == (0.2, 1.0)
    assert low.target_emotion == high.target_emotion and low.driving_clip == low.clip_id
    videos = [read_frames(tmp_path / cell / low.video).astype(int) for cell in ("dial_0.2", "dial_1")]
    assert np.abs(videos[0] - videos[1]).mean() > 0
    methods = {"silent": {"kind": "eadnet", "run": "silent", "corpora": ["tiny"]}}
    table = rendered(world, tmp_path / "none/samples.parquet", "dial_1", methods, max_clips=1)
    assert table.reason.str.contains("takes no intensity").all()
    monkeypatch.chdir(tmp_path)  # where no run lies
    out = tmp_path / "gone/samples.parquet"
    make("full", "tiny", "dial_1", world.clips, world.context(out, FULL, max_clips=1), out)
    assert read_table(out, schemas.SAMPLES).reason.str.contains("run is not trained").all()


def test_silence_without_whisper_names_what_is_missing(world, tmp_path: Path) -> None:
    context = world.context(tmp_path, FULL, "full")
    context.parts.pop("whisper")
    with pytest.raises(EadbenchError, match=r"every clip|all 2"):
        make("full", "tiny", "silent", world.clips, context, tmp_path / "samples.parquet")


def test_wav2lip_leaves_the_upper_half_alone(world, tmp_path: Path) -> None:
    methods = {"wav2lip": {"kind": "wav2lip", "run": "wav2lip", "corpora": ["tiny"]}}
    out = tmp_path / "samples.parquet"
    row = rendered(world, out, methods=methods, max_clips=1, crf=1).iloc[0]
    assert row["status"] == "kept"
    ours = read_frames(tmp_path / row["video"]).astype(int)
    theirs = read_frames(world.clips.parent / "videos" / f"{row['clip_id']}.mp4").astype(int)
    assert np.abs(ours - theirs)[:, :28].mean() < 2 < np.abs(ours - theirs)[:, 40:].mean()


def test_a_protocol_that_the_method_cannot_do_is_shown_as_such(world, tmp_path: Path) -> None:
    methods = {"wav2lip": {"kind": "wav2lip", "run": "wav2lip", "corpora": ["tiny"]}}
    table = rendered(world, tmp_path / "samples.parquet", "cross_emotion", methods)
    assert (
        set(table["status"]) == {"dropped"}
        and table["reason"].str.contains("cannot do protocol 'cross_emotion'").all()
    )


def test_a_run_of_another_kind_is_refused(world, tmp_path: Path) -> None:
    methods = {"full": {"kind": "eadnet", "run": "syncnet", "corpora": ["tiny"]}}
    with pytest.raises(EadbenchError, match="'syncnet', not 'eadnet'"):
        rendered(world, tmp_path / "samples.parquet", methods=methods)


@pytest.mark.parametrize("reference", ["other_stretch", "first_frame", "current"])
def test_the_reference_is_a_choice(world, tmp_path: Path, reference: str) -> None:
    methods = {"full": FULL["full"] | {"reference": reference, "caption_source": "target"}}
    table = rendered(world, tmp_path / "samples.parquet", methods=methods, max_clips=1)
    assert table["reference_clip"].tolist() == table["clip_id"].tolist()


def test_an_interrupted_run_goes_on(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eadbench.samples.methods.eadnet import EADNetMethod

    out = tmp_path / "samples.parquet"
    original, calls = EADNetMethod.render, []

    def stops(self, job, work):
        calls.append(job.clip_id)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, job, work)

    monkeypatch.setattr(EADNetMethod, "render", stops)
    with pytest.raises(KeyboardInterrupt):
        rendered(world, out)
    assert not out.exists()
    table = rendered(world, out)
    assert len(calls) == 3 and calls[2] == calls[1], "the first clip is not rendered again"
    assert set(table["status"]) == {"kept"} and not list(tmp_path.glob(".*.jsonl"))


def test_unlabelled_clips_have_a_text_only(world) -> None:
    """HDTF has no labels, but captions: of the clip itself, or of the speaker's
    reference clip; where neither has one, nothing.
    """
    from dataclasses import replace

    from eadbench.features.store import FeatureStore
    from eadbench.samples.config import SamplesConfig
    from eadbench.samples.manifest import build_jobs
    from eadbench.samples.methods.eadnet import EmotionTexts

    texts = EmotionTexts(FeatureStore([world.features]))
    captioned, lost = sorted(
        build_jobs(world.clips, "tiny", "self", SamplesConfig(), 1), key=lambda job: job.clip_id
    )
    job = replace(lost, emotion=None, intensity=None, caption_clip=captioned.clip_id)
    emotion = texts.emotion_input(job, "other_clip")
    assert (
        emotion.source == "other_clip"
        and emotion.vai is None
        and emotion.text.equal(texts.emotion_input(captioned, "target").text)
    )
    assert (
        texts.emotion_input(job, "target").text is None and texts.emotion_input(job, "label").source is None
    )
    emotion = texts.emotion_input(replace(lost, speaker_clip=captioned.clip_id), "same_speaker")
    assert (
        emotion.source == "same_speaker"
        and emotion.vai is not None
        and emotion.text.equal(texts.emotion_input(captioned, "target").text)
    )
    assert texts.emotion_input(replace(lost, speaker_clip=None), "same_speaker").source == "label"
    assert texts.emotion_input(lost, "target").source == "label", (
        "its own caption was lost, its label was not"
    )


def weights(change: Callable[[dict], None]) -> Callable[[Path], None]:
    """Harm the weights of a run, with a card that fits, as in a folder that came from
    elsewhere.
    """

    def harm(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors")
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(
            json.dumps(card | {"sha256": sha256_of(folder / "model.safetensors")})
        )

    return harm


def config(text: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda folder: (folder / "config.json").write_text(text((folder / "config.json").read_text()))


BROKEN_RUNS = [
    (weights(lambda state: state[min(state)].view(-1)[:1].fill_(np.nan)), "1 of .* are not finite"),
    (weights(lambda state: state.pop(min(state))), "do not fit the network"),
    (
        weights(lambda state: state.update({min(state): state[min(state)][..., None].clone()})),
        "do not fit the network",
    ),
    (weights(lambda state: state.update({min(state): state[min(state)].int()})), "do not fit the network"),
    (config(lambda text: text[: len(text) // 2]), "run 'full' cannot be loaded"),
    (config(lambda _: "[1, 2]"), "run 'full' cannot be loaded"),
    (config(lambda _: '{"kind": "eadnet"}'), "run 'full' cannot be loaded: no entry 'model'"),
    (
        config(lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "scheduler"})),
        "no entry 'scheduler'",
    ),
    (config(lambda text: text.replace('"eadnet"', '"other"')), "no entry 'other'"),
    (config(lambda _: "<html>moved</html>"), "is a web page"),
    (lambda folder: (folder / "card.json").write_text("[]"), "not the card of a run"),
    (lambda folder: (folder / "card.json").write_text('{"sha'), "not the card of a run"),
    (lambda folder: (folder / "model.safetensors").unlink(), "missing"),
    (lambda folder: shutil.rmtree(folder) or folder.write_text(""), "is not trained"),
]


@pytest.mark.parametrize(("harm", "words"), BROKEN_RUNS, ids=range(len(BROKEN_RUNS)))
def test_a_broken_run_ends_in_one_message(
    world, tmp_path: Path, harm: Callable[[Path], None], words: str
) -> None:
    shutil.copytree(world.runs["full"], tmp_path / "full")
    harm(tmp_path / "full")
    with pytest.raises(EadbenchError, match=words) as caught:
        load_run(tmp_path / "full")
    assert str(tmp_path / "full") in caught.value.where
