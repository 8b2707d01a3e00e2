"""Manifest, controls, folders, commands, the final codec and the listing."""

import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tiny_clips import make_clips

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.protocols import DIAL
from eadbench.core.seeds import seed_for
from eadbench.core.settings import Settings
from eadbench.core.tables import read_table, write_table
from eadbench.media.audio import read_audio
from eadbench.media.video import probe, read_frames, write_video
from eadbench.samples import make as make_module
from eadbench.samples.config import SamplesConfig
from eadbench.samples.listing import show
from eadbench.samples.make import make
from eadbench.samples.manifest import build_jobs, choose
from eadbench.samples.methods.base import MethodContext
from eadbench.samples.templates import fill, split

EXAMPLE = Path(__file__).parents[2] / "examples" / "mirror_method.py"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two speakers, four clips each, all in the test split but the first speaker's."""
    return make_clips(tmp_path_factory.mktemp("clips"), speakers=2, per_speaker=4, frames=30)


def rendered(
    clips: Path, out: Path, protocol: str = "self", samples: dict | None = None, **options
) -> pd.DataFrame:
    config = SamplesConfig.model_validate(
        {"methods": {"m": {"corpora": ["tiny"], **options}}, **(samples or {})}
    )
    make("m", "tiny", protocol, clips, MethodContext(7, "cpu", config, log_folder=out.parent / "logs"), out)
    return read_table(out, schemas.SAMPLES)


def test_choice_is_even_and_does_not_depend_on_order() -> None:
    pool = [
        SimpleNamespace(clip_id=f"{e}{s}{k}", emotion=e, speaker=s)
        for e in "abcd"
        for s in "xyz"
        for k in range(5)
    ]

    def names(clips: Sequence[SimpleNamespace]) -> set[str]:
        return {clip.clip_id for clip in clips}

    few = choose(pool, 8, 1)
    assert list(Counter(clip.emotion for clip in few).values()) == [2] * 4
    assert max(Counter(clip.speaker for clip in few).values()) <= 3
    mixed = choose(sorted(pool, key=lambda clip: seed_for(3, clip.clip_id)), 8, 1)
    assert names(few) == names(mixed) != names(choose(pool, 8, 2))
    assert len(choose(pool, None, 1)) == 60


def test_pairs_are_other_clips_and_do_not_depend_on_the_limit(clips: Path) -> None:
    def jobs(protocol: str, **options) -> dict:
        return {j.clip_id: j for j in build_jobs(clips, "tiny", protocol, SamplesConfig(**options), 1)}

    every, few = jobs("cross"), jobs("cross", max_clips=2)
    assert len(every) == 4 and all(j.driving_clip != name and j.emotion for name, j in every.items())
    assert all(every[name].driving_clip == j.driving_clip for name, j in few.items())
    own = read_table(clips, schemas.CLIPS).set_index("clip_id")["emotion"]
    for name, job in jobs("cross_emotion").items():
        assert job.emotion == own[job.driving_clip] != own[name]
    for job in jobs("self").values():
        assert job.driving_clip == job.clip_id != job.reference_clip and job.other_clip not in (
            None,
            job.clip_id,
        )
    assert all(j.frames == 20 for j in jobs("self", max_seconds=0.8).values())


def test_length_is_the_shorter_of_video_and_audio(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips.parent, tmp_path / "c")
    table = read_table(tmp_path / "c/clips.parquet", schemas.CLIPS)
    from eadbench.media.audio import write_wav

    write_wav(tmp_path / "c" / table["audio"].iloc[-1], np.zeros(640 * 21 + 639, np.float32))
    rows = rendered(tmp_path / "c/clips.parquet", tmp_path / "out/samples.parquet", kind="ground_truth")
    assert rows["frames"].tolist() == [30, 30, 30, 21]


def test_controls_show_what_they_say(clips: Path, tmp_path: Path) -> None:
    def images(kind: str, protocol: str = "self", **options) -> tuple[pd.Series, np.ndarray, Path]:
        out = tmp_path / kind / protocol / "samples.parquet"
        row = rendered(clips, out, protocol, kind=kind, **options).iloc[0]
        assert row["status"] == "kept", row["reason"]
        return row, read_frames(out.parent / row["video"]).astype(int), out.parent / row["video"]

    folder = clips.parent
    row, truth, path = images("ground_truth")
    clip = read_frames(folder / f"videos/{row['clip_id']}.mp4").astype(int)
    assert np.abs(truth - clip).mean() < 3 and not np.array_equal(truth, clip), "through the codec"
    assert (
        np.abs(read_audio(path)[:8000] - read_audio(folder / f"audio/{row['clip_id']}.wav")[:8000]).mean()
        < 0.02
    )
    row, still, _ = images("still")
    assert np.abs(still - still[0]).mean() < 1 and row["reference_clip"] != row["clip_id"]
    row, copied, _ = images("copied_input")
    assert np.abs(copied - read_frames(folder / f"videos/{row['reference_clip']}.mp4")).mean() < 3
    row, driven, path = images("copied_input", "cross_emotion")
    assert np.abs(driven - clip).mean() < 3 and row["target_emotion"] != "neutral"
    row, shuffled, path = images("shuffled_audio")
    assert np.abs(shuffled - clip).mean() < 3 and row["driving_clip"] != row["clip_id"]
    assert (
        np.abs(
            read_audio(path)[:8000] - read_audio(folder / f"audio/{row['driving_clip']}.wav")[:8000]
        ).mean()
        < 0.02
    )


def test_ground_truth_without_reencoding_has_the_same_frames(clips: Path, tmp_path: Path) -> None:
    row = rendered(clips, tmp_path / "samples.parquet", kind="ground_truth", reencode=False).iloc[0]
    assert np.array_equal(
        read_frames(tmp_path / row["video"]), read_frames(clips.parent / f"videos/{row['clip_id']}.mp4")
    )


def test_folder_named_by_clip_ids_or_by_a_table(clips: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs" / "tiny"
    theirs.mkdir(parents=True)
    names = read_table(clips, schemas.CLIPS)["clip_id"].tolist()[4:]
    for k, name in enumerate(names[:3]):
        shutil.copy(clips.parent / f"videos/{name}.mp4", theirs / f"{name}.mp4")
        shutil.copy(clips.parent / f"videos/{name}.mp4", theirs / f"result {k}.mp4")
    by_name = rendered(
        clips, tmp_path / "a/samples.parquet", kind="videos", path=str(tmp_path / "theirs" / "{corpus}")
    )
    assert by_name["status"].tolist() == ["kept"] * 3 + ["failed"] and "no video" in by_name["reason"][3]
    assert by_name["seconds"].isna().all(), "nobody measured them"
    table = tmp_path / "map.csv"
    table.write_text(
        "\ufeffClip_ID; video\r\n"
        + "".join(f"{name}; result {k}.mp4\r\n" for k, name in enumerate(names[:3]))
    )
    mapped = rendered(
        clips, tmp_path / "b/samples.parquet", kind="videos", path=str(theirs), mapping=str(table)
    )
    assert mapped["status"].tolist() == ["kept"] * 3 + ["failed"] and "mapping table" in mapped["reason"][3]
    missing = rendered(clips, tmp_path / "c/samples.parquet", kind="videos", path=str(tmp_path / "nowhere"))
    assert set(missing["status"]) == {"dropped"} and missing["reason"].str.contains("nowhere").all()


def test_an_error_nobody_thought_of_costs_its_clip_and_no_memory_ends_the_job(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = read_table(clips, schemas.CLIPS)["clip_id"].tolist()[4:]
    real, error = make_module.finish, TypeError("no such layout")

    def finish(raw, job, *arguments):
        if job.clip_id == names[1]:
            raise error
        return real(raw, job, *arguments)

    monkeypatch.setattr(make_module, "finish", finish)
    table = rendered(clips, tmp_path / "a/samples.parquet", kind="ground_truth")
    assert table["status"].tolist() == ["kept", "failed", "kept", "kept"]
    assert table["reason"][1] == "unexpected TypeError: no such layout"
    error = MemoryError()
    with pytest.raises(FatalError, match="out of memory"):
        rendered(clips, tmp_path / "b/samples.parquet", kind="ground_truth")


def test_any_suffix_that_counts_is_found_and_what_is_not_or_doubled_is_named(
    clips: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    names = read_table(clips, schemas.CLIPS)["clip_id"].tolist()[4:]
    source = clips.parent / f"videos/{names[0]}.mp4"
    for target in (
        f"{names[0]}.MOV",
        f"._{names[0]}.mp4",
        f"{names[1]}.mp4",
        f"{names[1]}.m4v",
        f"{names[2]}.docx",
    ):
        shutil.copy(source, theirs / target)
    table = rendered(clips, tmp_path / "a/samples.parquet", kind="videos", path=str(theirs))
    assert table["status"].tolist() == ["kept", "failed", "failed", "failed"]
    assert (
        f"{names[1]}.m4v, {names[1]}.mp4" in table["reason"][1] and f"{names[2]}.docx" in table["reason"][2]
    )


def test_other_sizes_and_rates(clips: Path, tmp_path: Path) -> None:
    """Squares are resized; other rates are refused or, if asked for, resampled; other
    shapes fail.
    """
    theirs = tmp_path / "theirs"
    names = read_table(clips, schemas.CLIPS)["clip_id"].tolist()[4:]
    for name, (height, width, fps) in zip(
        names, [(96, 96, 25), (64, 64, 30), (64, 96, 25), (64, 128, 25)], strict=True
    ):
        write_video(theirs / f"{name}.mp4", np.full((40, height, width, 3), 90, np.uint8), fps)
    table = rendered(clips, tmp_path / "a/samples.parquet", kind="videos", path=str(theirs))
    assert table["status"].tolist() == ["kept", "failed", "failed", "failed"]
    assert (
        "frame rate is 30" in table["reason"][1]
        and "96x64" in table["reason"][2]
        and table["frames_raw"][0] == 40
    )
    assert probe(tmp_path / "a" / table["video"][0]).width == 64
    again = rendered(
        clips,
        tmp_path / "b/samples.parquet",
        kind="videos",
        path=str(theirs),
        resample=True,
        region="right_half",
    )
    assert (
        again["status"].tolist()[1:] == ["failed", "failed", "kept"]
        and "frame rate" not in again["reason"][1]
    )


COPY = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"


def test_command_per_clip_needs_no_shell(clips: Path, tmp_path: Path) -> None:
    command = (
        f"{{python}} -c '{COPY}' {{video}} {{out}} '$(touch {tmp_path}/shell)' '{{emotion}};{{intensity}}'"
    )
    table = rendered(
        clips, tmp_path / "samples.parquet", kind="command", command=command, samples={"max_seconds": 0.8}
    )
    assert (
        set(table["status"]) == {"kept"}
        and (table["frames_raw"] == 20).all()
        and not (tmp_path / "shell").exists()
    )
    assert (table["run_hash"].str.len() == 64).all()


def test_the_documented_program_runs_by_the_documented_command(clips: Path, tmp_path: Path) -> None:
    """Both as they stand in docs/methods.md; frames get brighter, and nothing else."""
    text = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()
    (program,) = re.findall(r"```python file=infer.py\n(.*?)```", text, re.S)
    command = re.search(r'command: "(\{python\} infer.py [^"]*)"', text)[1]
    (tmp_path / "my programs").mkdir()
    (tmp_path / "my programs" / "infer.py").write_text(program)
    command = command.replace("infer.py", f"'{tmp_path}/my programs/infer.py'")
    table = rendered(clips, tmp_path / "out" / "samples.parquet", kind="command", command=command)
    assert set(table["status"]) == {"kept"}, table["reason"].tolist()
    images = read_frames(tmp_path / "out" / table["video"][0]).astype(int)
    clip = read_frames(clips.parent / f"videos/{table['clip_id'][0]}.mp4").astype(int)
    assert (
        images.shape == clip.shape
        and (images - clip).mean() > 3
        and (table["seconds"] > 0).all()
        and (table["peak_mb"] > 10).all()
    )


def test_a_damaged_clip_costs_itself_in_a_common_run_too(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips.parent, tmp_path / "c")
    table = read_table(tmp_path / "c/clips.parquet", schemas.CLIPS)
    (tmp_path / "c" / table["audio"].iloc[5]).write_bytes(b"not audio")
    options = {
        "kind": "command",
        "per": "manifest",
        "command": f"{{python}} '{EXAMPLE}' {{manifest}} {{output}}",
    }
    rows = rendered(tmp_path / "c/clips.parquet", tmp_path / "out/samples.parquet", **options)
    assert rows["status"].tolist() == ["kept", "failed", "kept", "kept"] and rows["reason"][1]


def test_the_example_runs_once_for_all_clips(clips: Path, tmp_path: Path) -> None:
    options = {
        "kind": "command",
        "per": "manifest",
        "command": f"{{python}} '{EXAMPLE}' {{manifest}} {{out}}",
    }
    table = rendered(clips, tmp_path / "samples.parquet", **options)
    assert set(table["status"]) == {"kept"} and table["seconds"].nunique() == 1
    flipped = read_frames(tmp_path / table["video"][0]).astype(int)
    clip = read_frames(clips.parent / f"videos/{table['clip_id'][0]}.mp4").astype(int)
    assert np.abs(flipped - clip[::-1, :, ::-1]).mean() < 4


def test_a_command_that_stops_half_way_keeps_what_it_made(clips: Path, tmp_path: Path) -> None:
    code = (
        "import csv, shutil, sys\nrows = list(csv.DictReader(open(sys.argv[1])))\n"
        "shutil.copy(rows[0]['video'], rows[0]['out'])\nsys.exit('out of memory')"
    )
    (tmp_path / "half.py").write_text(code)
    options = {
        "kind": "command",
        "per": "manifest",
        "command": f"{sys.executable} '{tmp_path}/half.py' {{manifest}}",
    }
    table = rendered(clips, tmp_path / "out/samples.parquet", **options)
    assert (
        table["status"].tolist() == ["kept", "failed", "failed", "failed"]
        and "ended with status 1" in table["reason"][1]
    )
    assert "out of memory" in (tmp_path / "out/logs/manifest.log").read_text()


def test_templates() -> None:
    words = fill(split("run --face {video} 'a b' {{x}}", "here"), {"video": "/with space/'q'.mp4"}, "here")
    assert words == ["run", "--face", "/with space/'q'.mp4", "a b", "{x}"]
    with pytest.raises(EadbenchError, match=r"unknown placeholder \{vid\}"):
        fill(["{vid}"], {"video": ""}, "here")
    with pytest.raises(EadbenchError, match="cannot be split"):
        split("run 'open", "here")


def test_a_damaged_clip_costs_itself(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips.parent, tmp_path / "c")
    table = read_table(tmp_path / "c/clips.parquet", schemas.CLIPS)
    (tmp_path / "c" / table["video"].iloc[5]).write_bytes(b"not a video")
    (tmp_path / "c" / table["audio"].iloc[6]).write_bytes(b"not audio")
    rows = rendered(tmp_path / "c/clips.parquet", tmp_path / "out/samples.parquet", kind="ground_truth")
    assert (
        rows["status"].tolist() == ["kept", "failed", "failed", "kept"]
        and rows["reason"][1]
        and rows["reason"][2]
    )
    for column in ("video", "audio"):
        for path in table[column][4:]:
            (tmp_path / "c" / path).write_bytes(b"")
    with pytest.raises(EadbenchError, match="all 4 clips"):
        rendered(tmp_path / "c/clips.parquet", tmp_path / "out2/samples.parquet", kind="ground_truth")


def test_no_clip_in_the_split_and_no_such_method(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(EadbenchError, match="no kept clip in split 'val'"):
        rendered(clips, tmp_path / "samples.parquet", kind="still", samples={"split": "val"})
    with pytest.raises(EadbenchError, match="no method 'x'"):
        make(
            "x", "tiny", "self", clips, MethodContext(1, "cpu", SamplesConfig()), tmp_path / "samples.parquet"
        )


def test_unlabelled_clips_cannot_be_driven_by_another_emotion(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips.parent, tmp_path / "c")
    table = read_table(tmp_path / "c/clips.parquet", schemas.CLIPS)
    table["emotion"] = None
    write_table(tmp_path / "c/clips.parquet", table, schemas.CLIPS)
    rows = rendered(
        tmp_path / "c/clips.parquet", tmp_path / "out/samples.parquet", "cross_emotion", kind="copied_input"
    )
    assert set(rows["status"]) == {"dropped"} and rows["reason"].str.contains("another emotion").all()
    for job in build_jobs(tmp_path / "c/clips.parquet", "tiny", "self", SamplesConfig(), 1):
        assert (
            job.emotion is None and job.emotion_clip == job.clip_id != job.caption_clip == job.reference_clip
        )


@pytest.mark.parametrize("protocol", ["self", "cross_emotion"])
def test_captions_of_the_speaker_are_of_another_clip_with_the_label(
    clips: Path, tmp_path: Path, protocol: str
) -> None:
    shutil.copytree(clips.parent, tmp_path / "c")
    table = read_table(tmp_path / "c/clips.parquet", schemas.CLIPS)
    named = table.head(6).assign(
        status="kept",
        split="test",
        speaker=["A", "A", "A", "B", "B", "B"],
        emotion=["sad", "sad", "happy", "angry", "angry", "angry"],
    )
    write_table(tmp_path / "c/clips.parquet", named, schemas.CLIPS)
    by_name = named.set_index("clip_id")
    speaker_clips = {}
    for job in build_jobs(tmp_path / "c/clips.parquet", "tiny", protocol, SamplesConfig(), 1):
        speaker_clips[job.clip_id] = job.speaker_clip
        if job.speaker_clip is not None:
            assert job.speaker_clip not in (job.clip_id, job.emotion_clip)
            assert (by_name.speaker[job.speaker_clip], by_name.emotion[job.speaker_clip]) == (
                job.speaker,
                job.emotion,
            )
    if protocol == "self":
        assert [clip is None for clip in speaker_clips.values()] == [False, False, True, False, False, False]
    else:
        assert any(speaker_clips.values()), "the happy one, asked to be sad, has two sad clips"


def test_config_names_the_mistake() -> None:
    with pytest.raises(EadbenchError, match="stepz"):
        _ = Settings(
            {
                "samples": {
                    "methods": {
                        "full": {"kind": "eadnet", "run": "r", "corpora": ["c"], "sampler": {"stepz": 3}}
                    }
                }
            }
        ).samples
    with pytest.raises(EadbenchError, match="comand"):
        _ = Settings(
            {"samples": {"methods": {"m": {"kind": "command", "comand": "x", "corpora": ["c"]}}}}
        ).samples
    with pytest.raises(EadbenchError, match="'magic' is not known"):
        _ = Settings({"samples": {"methods": {"m": {"kind": "magic", "corpora": ["c"]}}}}).samples


def test_listing_names_everything_that_is_missing(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    methods = {
        "full": {"kind": "eadnet", "run": "full", "corpora": ["c"]},
        "theirs": {
            "kind": "external",
            "recipe": "musetalk",
            "corpora": ["c"],
            "protocols": ["self", "cross_emotion"],
        },
        "still": {"kind": "still", "corpora": ["c"]},
    }
    show(Settings({"seed": 1, "device": "cpu", "samples": {"methods": methods}}), tmp_path)
    text = capsys.readouterr().out
    assert (
        "cross_emotion (cannot)" in text
        and "run is not trained" in text
        and "git clone https://github.com/TMElyralab/MuseTalk" in text
    )
    assert text.count("theirs: weights are missing") == 9 and "theirs: environment is missing" in text
    assert "how far this recipe was really run" in text


def test_silence_drives_controls_and_programs(clips: Path, tmp_path: Path) -> None:
    jobs = build_jobs(clips, "tiny", "silent", SamplesConfig(max_seconds=1), 1)
    assert {(job.audio, job.driving_clip, job.frames) for job in jobs} == {(None, None, 25)}
    assert not jobs[0].driving_audio().any() and jobs[0].driving_audio().shape == (25 * 640,)
    for name, options in {
        "still": {"kind": "still"},
        "copied_input": {"kind": "copied_input"},
        "command": {
            "kind": "command",
            "command": "{python} -c 'import shutil,sys;shutil.copy(*sys.argv[1:])' {video} {out}",
        },
    }.items():
        table = rendered(clips, tmp_path / name / "samples.parquet", "silent", **options)
        assert set(table.status) == {"kept"}, (name, table.reason.tolist())
        assert table.driving_clip.isna().all()
        assert np.abs(read_audio(tmp_path / name / table.video[0])).max() < 1e-4
    table = rendered(clips, tmp_path / "truth/samples.parquet", "silent", kind="ground_truth")
    assert table.reason.str.contains("cannot do protocol 'silent'").all()


def test_a_dial_asks_for_one_other_emotion_at_rising_intensity(clips: Path) -> None:
    jobs = {cell: build_jobs(clips, "tiny", cell, SamplesConfig(), 1) for cell in DIAL}
    for same in zip(*jobs.values(), strict=True):
        assert [job.intensity for job in same] == [0.2, 0.4, 0.6, 0.8, 1.0]
        fixed = ("clip_id", "driving_clip", "reference_clip", "emotion", "emotion_clip", "caption_clip")
        assert all(len({getattr(job, name) for job in same}) == 1 for name in fixed)
        assert same[0].driving_clip == same[0].clip_id != same[0].emotion_clip
        assert same[0].emotion not in ("neutral", None)
    own = read_table(clips, schemas.CLIPS).set_index("clip_id").emotion
    assert all(job.emotion != own[job.clip_id] for job in jobs["dial_1"])


def test_a_dial_is_for_methods_that_take_an_intensity(clips: Path, tmp_path: Path) -> None:
    copy = "{python} -c 'import shutil,sys;shutil.copy(*sys.argv[2:])' "
    with_intensity = rendered(
        clips,
        tmp_path / "a/samples.parquet",
        "dial_0.4",
        kind="command",
        command=copy + "{intensity} {video} {out}",
    )
    assert set(with_intensity.status) == {"kept"} and set(with_intensity.target_intensity) == {0.4}
    without_intensity = rendered(
        clips, tmp_path / "b/samples.parquet", "dial_0.4", kind="command", command=copy + "x {video} {out}"
    )
    assert (
        set(without_intensity.status) == {"dropped"}
        and without_intensity.reason.str.contains("takes no intensity").all()
    )
    still = rendered(clips, tmp_path / "c/samples.parquet", "dial_0.4", kind="still")
    assert still.reason.str.contains("cannot do protocol 'dial'").all()
    methods = {
        "model": {"kind": "eadnet", "run": "r"},
        "still": {"kind": "still"},
        "intensity": {"kind": "command", "command": "run {intensity} {out}"},
        "listed": {"kind": "command", "command": "run {manifest} {out}", "per": "manifest"},
        "no_intensity": {"kind": "command", "command": "run {out}"},
    }
    with_corpora = {name: {"corpora": ["tiny"], **method} for name, method in methods.items()}
    config = SamplesConfig.model_validate({"methods": with_corpora, "also": ["dial"]})
    assert {(n, p) for n, _, p in config.cells() if p != "self"} == {
        (name, cell) for name in ("model", "intensity", "listed") for cell in DIAL
    }


def test_every_method_that_can_is_asked_for_a_further_protocol() -> None:
    methods = {
        "truth": {"kind": "ground_truth"},
        "shuffled": {"kind": "shuffled_audio"},
        "copied": {"kind": "copied_input", "protocols": ["silent", "cross"]},
        "wav2lip": {"kind": "wav2lip", "run": "r"},
        "model": {"kind": "eadnet", "run": "r"},
        "by_protocol": {"kind": "videos", "path": "{corpus}/{protocol}"},
        "self_only": {"kind": "videos", "path": "mine"},
        "eat": {"kind": "external", "recipe": "eat"},
        "latentsync": {"kind": "external", "recipe": "latentsync"},
    }
    with_corpora = {name: {"corpora": ["tiny"], **method} for name, method in methods.items()}
    config = SamplesConfig.model_validate({"methods": with_corpora, "also": ["silent", "cross_emotion"]})
    cells = {name: [p for n, _, p in config.cells() if n == name] for name in with_corpora}
    assert cells == {
        "truth": ["self"],
        "shuffled": ["self"],
        "copied": ["silent", "cross", "cross_emotion"],
        "wav2lip": ["self", "silent"],
        "model": ["self", "silent", "cross_emotion"],
        "by_protocol": ["self", "silent", "cross_emotion"],
        "self_only": ["self"],
        "eat": ["self", "cross_emotion"],
        "latentsync": ["self", "silent"],
    }
    assert config.methods["model"].requires("tiny", "silent").artefacts == ("vae", "whisper")
    assert config.methods["model"].requires("tiny").artefacts == ("vae",)


def test_manifest_columns_are_documented(clips: Path) -> None:
    job = build_jobs(clips, "tiny", "self", SamplesConfig(), 1)[0]
    text = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()
    for column in [*job.as_strings(), "reference", "boxes", "out"]:
        assert f"`{column}`" in text, column


@pytest.mark.parametrize("change", ["nothing", "the seed", "a video", "the program"])
def test_a_result_is_taken_up_only_if_all_that_it_depends_on_is_the_same(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A run is killed after two of four clips, something changes, and it is started
    again.
    """
    from eadbench.samples import make as module

    names = sorted(read_table(clips, schemas.CLIPS).query("split == 'test'")["clip_id"])
    (tmp_path / "theirs").mkdir()
    for name in names:
        shutil.copy(clips.parent / "videos" / f"{name}.mp4", tmp_path / "theirs")
    (tmp_path / "program.py").write_text("import shutil, sys\nshutil.copy(sys.argv[1], sys.argv[2])\n")
    if change == "the program":
        options = {"kind": "command", "command": f"{{python}} '{tmp_path}/program.py' {{video}} {{out}}"}
    else:
        options = {"kind": "videos", "path": str(tmp_path / "theirs")}
    config = SamplesConfig.model_validate({"methods": {"m": {"corpora": ["tiny"], **options}}})
    work, done = module.render_one, []

    def counted(method, job, folder):
        if len(done) == stop:
            raise KeyboardInterrupt
        done.append(job.clip_id)
        return work(method, job, folder)

    def run(seed: int = 7) -> None:
        make(
            "m",
            "tiny",
            "self",
            clips,
            MethodContext(seed, "cpu", config, log_folder=tmp_path / "logs"),
            tmp_path / "out" / "samples.parquet",
        )

    monkeypatch.setattr(module, "render_one", counted)
    stop = 2
    with pytest.raises(KeyboardInterrupt):
        run()
    stop = 99
    if change == "a video":
        shutil.copy(clips.parent / "videos" / f"{names[3]}.mp4", tmp_path / "theirs" / f"{names[0]}.mp4")
    if change == "the program":
        with (tmp_path / "program.py").open("a") as file:
            file.write("# other\n")
    run(8 if change == "the seed" else 7)
    again = {"nothing": [], "the seed": names[:2], "a video": names[:2], "the program": names[:2]}[change]
    assert done == [*names[:2], *again, *names[2:]]
