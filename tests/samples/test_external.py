"""Recipes of published repositories, run against stand-ins with the same command lines;
and everything that can go wrong.
"""

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from samples.standins.checkouts import git, prepare_for_eat, write_checkout, write_weights
from samples.standins.programs import PROGRAMS

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table
from eadbench.media.audio import read_audio
from eadbench.media.video import read_frames
from eadbench.samples.config import SamplesConfig
from eadbench.samples.make import make
from eadbench.samples.methods import make_method
from eadbench.samples.methods.base import MethodContext
from eadbench.samples.recipe import folder_of, load_recipe, shipped_recipes

ENVS = Path(__file__).parents[2] / "envs"


@pytest.fixture
def checkout(tmp_path: Path):
    """Make a stand-in's checkout, its weights and a copy of the recipe that expects its
    commit; gives the method's options.
    """

    def build(name: str, **changes) -> dict:
        # with a space, as users have them
        repo, weights = (tmp_path / f"{name} repo", tmp_path / f"{name} weights")
        recipe = yaml.safe_load(load_recipe(name)[1])
        recipe["commit"] = write_checkout(name, repo)
        if recipe["worker"].get("adapter"):
            recipe["worker"]["adapter"] = str(folder_of(name) / recipe["worker"]["adapter"])
        write_weights(name, weights)
        for weight in recipe["weights"]:
            weight |= {"sha256": None, "size": None}
        recipe |= changes
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe))
        options = {
            "kind": "external",
            "recipe": str(path),
            "path": str(repo),
            "weights": str(weights),
            "python": sys.executable,
            "corpora": ["tiny"],
        }
        return options | {"timeout": 30}

    return build


def rendered(tiny_clips: Path, out: Path, options: dict, protocol: str = "self", **samples) -> pd.DataFrame:
    config = SamplesConfig.model_validate({"methods": {"other": options}, "max_clips": 1, **samples})
    make(
        "other",
        "tiny",
        protocol,
        tiny_clips,
        MethodContext(7, "cpu", config, log_folder=out.parent / "logs"),
        out,
    )
    return read_table(out, schemas.SAMPLES)


# Frames that come back of 50, and frames that the program wrote.
COUNTS = {
    "wav2lip": (47, 47),
    "ip_lap": (46, 46),
    "musetalk": (50, 50),
    "latentsync": (50, 52),
    "eat": (50, 50),
    "edtalk": (48, 48),
}


def test_recipes_say_what_their_method_drives() -> None:
    drives_of = {
        name: SamplesConfig.model_validate(
            {"methods": {"m": {"kind": "external", "recipe": name, "corpora": ["tiny"]}}}
        )
        .methods["m"]
        .drives
        for name in shipped_recipes()
    }
    assert {name for name, drives in drives_of.items() if drives == "image"} == {"eat", "edtalk"}
    own = {"kind": "external", "recipe": "eat", "corpora": ["tiny"], "drives": "video"}
    assert SamplesConfig.model_validate({"methods": {"m": own}}).methods["m"].drives == "video"


@pytest.mark.parametrize(
    ("name", "faces"), [*((n, None) for n in sorted(PROGRAMS)), ("ip_lap", "given"), ("latentsync", "given")]
)
def test_recipe_runs_its_program(
    name: str, faces: str | None, checkout, tiny_clips: Path, tmp_path: Path
) -> None:
    options = checkout(name)
    if name == "eat":
        options["prepared"] = str(prepare_for_eat(tiny_clips, tmp_path / "prepared"))
    if faces:
        options["options"] = {"faces": faces}
    row = rendered(tiny_clips, tmp_path / "out" / "samples.parquet", options).iloc[0]
    assert row["status"] == "kept", row["reason"]
    assert (row["frames"], row["frames_raw"]) == COUNTS[name]
    assert row["seconds"] > 0 and row["peak_mb"] > 1 and len(row["run_hash"]) == 64
    images = read_frames(tmp_path / "out" / row["video"])
    assert images.shape == (row["frames"], 64, 64, 3)
    clip = read_frames(tiny_clips.parent / "videos" / f"{row['clip_id']}.mp4").astype(int)[: len(images)]
    error = abs(images.astype(int) - clip).mean()
    if name in ("ip_lap", "musetalk", "latentsync"):
        assert error < 12, "it gave the clip back (IP_LAP: in the right half)"
    if name == "wav2lip":
        assert error > 20 and abs(images[:, :1, :1].astype(int) - clip[:, :1, :1]).mean() < 12, (
            "only the face box was changed"
        )
    assert (tmp_path / "out" / "logs" / f"{row['clip_id']}.log").exists()


BAD = {
    "fail": "the program ended with status 1",
    "die": "the program ended by signal 6",
    "hang": "the program stopped after 4 s",
    "hang_children": "the program stopped after 4 s",
    "nothing": "no output was written; the program ended with status 0",
    "short9": "too short: 41 frames, expected 50",
    "fps30": "frame rate is 30, expected 25",
    "no_face": "no output was written; the program ended with status 1",
    "twice": "2 outputs fit",
}


@pytest.mark.parametrize("how", sorted(BAD))
def test_a_bad_clip_is_a_row_with_a_reason(how: str, checkout, tiny_clips: Path, tmp_path: Path) -> None:
    """The first of two clips goes wrong, the second is rendered."""
    options = checkout("musetalk") | {"timeout": 4 if "hang" in how else 30}
    options["env"] = {"STANDIN": f"first:{how}", "STANDIN_SEEN": str(tmp_path / "seen")}
    if how == "twice":
        recipe = yaml.safe_load(Path(options["recipe"]).read_text())
        recipe["output"]["path"] = "out/v15/*.mp4"
        Path(options["recipe"]).write_text(yaml.safe_dump(recipe))
    table = rendered(tiny_clips, tmp_path / "out" / "samples.parquet", options, max_clips=None)
    assert table["status"].tolist() == ["failed", "kept"]
    assert BAD[how] in table["reason"][0]
    assert not (tmp_path / "out" / "videos" / f"{table['clip_id'][0]}.mp4").exists()
    if how == "no_face":
        assert "Face not detected" in (tmp_path / "out" / "logs" / f"{table['clip_id'][0]}.log").read_text()


def processes(out: Path) -> list[str]:
    """Ids of the processes that rendered the clips, from their logs."""
    return [
        line.split()[1]
        for log in sorted((out / "logs").glob("*.log"))
        for line in log.read_text().splitlines()
        if line.startswith("process ")
    ]


def runs(pid: str) -> bool:
    """Whether a process is there, and not just its entry."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - {"eat"}))
def test_weights_are_loaded_once_for_all_clips(name: str, checkout, tiny_clips: Path, tmp_path: Path) -> None:
    loads, options = {}, checkout(name)
    for persistent in (True, False):
        out = tmp_path / str(persistent)
        options |= {"persistent": persistent, "env": {"STANDIN_LOADS": str(tmp_path / f"loads {persistent}")}}
        table = rendered(tiny_clips, out / "samples.parquet", options, max_clips=None)
        assert table["status"].tolist() == ["kept", "kept"], table["reason"].tolist()
        loads[persistent] = (tmp_path / f"loads {persistent}").read_text().splitlines()
        assert len(set(processes(out))) == (1 if persistent else 2)
        assert (table["seconds"] > 0).all() and (table["peak_mb"] > 1).all()
    assert sorted(loads[True] * 2) == sorted(loads[False])


def test_a_worker_that_failed_is_replaced(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("wav2lip") | {"env": {"STANDIN": "first:fail", "STANDIN_SEEN": str(tmp_path / "seen")}}
    rendered(tiny_clips, tmp_path / "samples.parquet", options, max_clips=None)
    assert len(set(processes(tmp_path))) == 2


def test_what_a_worker_prints_stays_with_its_clip_and_is_bounded(
    checkout, tiny_clips: Path, tmp_path: Path
) -> None:
    options = checkout("wav2lip") | {
        "env": {"STANDIN": "first:noisy", "STANDIN_SEEN": str(tmp_path / "seen")}
    }
    table = rendered(tiny_clips, tmp_path / "samples.parquet", options, max_clips=None)
    assert table["status"].tolist() == ["kept", "kept"]
    first, second = ((tmp_path / "logs" / f"{clip}.log").read_bytes() for clip in table["clip_id"])
    assert (
        len(first) < 2 << 20
        and b"bytes left out" in first
        and first.startswith(b"seed ")
        and len(second) < 1000
        and b"seed " in second
    )


def test_a_clips_randomness_does_not_depend_on_the_clips_before_it(
    checkout, tiny_clips: Path, tmp_path: Path
) -> None:
    options = checkout("wav2lip")
    (both, alone) = (
        rendered(tiny_clips, tmp_path / n / "samples.parquet", options, max_clips=k)
        for n, k in (("a", None), ("b", 1))
    )
    clip = alone["clip_id"][0]
    assert clip in set(both["clip_id"])
    seeds = [
        [
            line
            for line in (tmp_path / n / "logs" / f"{clip}.log").read_text().splitlines()
            if line.startswith("seed")
        ]
        for n in "ab"
    ]
    assert seeds[0] == seeds[1] and len(seeds[0]) == 1


def test_a_worker_ends_with_us_whatever_happens_to_us(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    code = (
        "import sys\nfrom pathlib import Path\nfrom eadbench.samples.worker import Worker, WorkerRequest\n"
        "folder = Path(sys.argv[1])\n"
        "request = WorkerRequest([str(folder / 'slow.py')], folder, folder / 'log', 1, {})\n"
        "Worker(sys.executable, {}, [], None).run(request, 600)"
    )
    ours = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < until and ours.poll() is None
        time.sleep(0.05)
    ours.kill()
    ours.wait()
    while runs((tmp_path / "pid").read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_protocols(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    """``cross`` brings another clip's audio to the program and to the result; what a
    method cannot do is a row that says so.
    """
    options = checkout("wav2lip")
    cross = rendered(tiny_clips, tmp_path / "cross" / "samples.parquet", options, "cross", max_clips=None)
    assert cross["status"].tolist() == ["kept", "kept"] and (cross["driving_clip"] != cross["clip_id"]).all()
    row = cross.iloc[0]
    result_audio, driving_audio = (
        read_audio(p)[:16000]
        for p in (tmp_path / "cross" / row["video"], tiny_clips.parent / f"audio/{row['driving_clip']}.wav")
    )
    assert abs(result_audio - driving_audio).mean() < 0.02
    table = rendered(
        tiny_clips, tmp_path / "emotion" / "samples.parquet", options, "cross_emotion", max_clips=None
    )
    assert (
        table["status"].tolist() == ["dropped", "dropped"]
        and table["reason"].str.contains("cannot do protocol 'cross_emotion'").all()
    )
    assert table["seconds"].isna().all() and table["video"].isna().all()


def test_nothing_of_a_worker_is_left_running(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("musetalk") | {"env": {"STANDIN": "leave_child"}}
    table = rendered(tiny_clips, tmp_path / "samples.parquet", options, max_clips=None)
    assert table["status"].tolist() == ["kept", "kept"]
    children = [log.read_text().split("child ")[1].split()[0] for log in (tmp_path / "logs").glob("*.log")]
    assert len(children) == 2 and not [pid for pid in [*processes(tmp_path), *children] if runs(pid)]


def test_three_frames_too_few_are_refused_unless_the_recipe_allows_them(
    checkout, tiny_clips: Path, tmp_path: Path
) -> None:
    options = checkout("musetalk") | {"env": {"STANDIN": "short"}}
    with pytest.raises(EadbenchError, match="all 1 clips of other failed"):
        rendered(tiny_clips, tmp_path / "out" / "samples.parquet", options)
    options = checkout("wav2lip") | {"env": {"STANDIN": "well"}}
    assert rendered(tiny_clips, tmp_path / "b" / "samples.parquet", options)["status"].tolist() == ["kept"]


@pytest.mark.parametrize(("how", "status"), [("well", "kept"), ("hang_children", "failed")])
def test_a_recipe_without_a_worker_starts_its_program_anew(
    how: str, status: str, checkout, tiny_clips: Path, tmp_path: Path
) -> None:
    options = checkout("wav2lip", worker=None) | {
        "env": {"STANDIN": f"first:{how}", "STANDIN_SEEN": str(tmp_path / "seen")},
        "timeout": 4,
    }
    table = rendered(tiny_clips, tmp_path / "samples.parquet", options, max_clips=None)
    assert table["status"].tolist() == [status, "kept"] and len(set(processes(tmp_path))) == 2


def test_gigabytes_of_output_do_not_fill_the_disk(tmp_path: Path) -> None:
    from eadbench.samples import process

    code = "import os\nfor _ in range(2000): os.write(1, b'y' * 65536)\nos.write(2, b'the end')"
    end = process.run([sys.executable, "-c", code], tmp_path, tmp_path / "log", 60)
    assert end.status == 0
    log = (tmp_path / "log").read_bytes()
    left_out = 2000 * 65536 + 7 - process.HEAD - process.TAIL
    assert (
        len(log) < 2 << 20 and log.endswith(b"the end") and f"... {left_out} bytes left out".encode() in log
    )


def test_the_end_of_what_is_printed_line_by_line_is_kept(tmp_path: Path) -> None:
    from eadbench.samples import process

    reader, writer = os.pipe2(os.O_DIRECT)  # a read gets one write
    log_writer = process.LogWriter(reader, tmp_path / "log")
    log_writer.start()
    lines = [f"line {k}\n".encode() for k in range(2000)]
    for block in [b"y" * 4096] * 256 + lines:
        os.write(writer, block)
    os.close(writer)
    log_writer.finish()
    os.close(reader)
    assert (tmp_path / "log").read_bytes() == b"y" * (1 << 20) + b"".join(lines)


def test_a_grandchild_in_a_group_of_its_own_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eadbench.samples import process

    monkeypatch.setattr(process, "GRACE", 0.2)
    code = "import subprocess as s; print(s.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
    end = process.run([sys.executable, "-c", code], tmp_path, tmp_path / "log", 60)
    os.kill(int((tmp_path / "log").read_text()), signal.SIGKILL)
    assert end.status == 0 and not any(
        isinstance(thread, process.LogWriter) for thread in threading.enumerate()
    ), "its pipe has gone to somebody else"


def test_a_log_that_cannot_be_written_stops_no_program(tmp_path: Path) -> None:
    from eadbench.samples import process

    end = process.run([sys.executable, "-c", "print('y' * (1 << 20))"], tmp_path, Path("/dev/full"), 60)
    assert end.status == 0 and not end.timed_out


def test_memory_is_the_programs_own(tmp_path: Path) -> None:
    from eadbench.samples import process

    ballast = bytearray(300 << 20)
    code = "import time; x = bytearray(80 << 20); time.sleep(0.5)"
    end = process.run([sys.executable, "-c", code], tmp_path, tmp_path / "log", 60)
    assert 80 < end.peak_mb < 200 and len(ballast)
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    assert process.run([sys.executable, "-c", child], tmp_path, tmp_path / "log", 60).peak_mb > 85, (
        "with that of its children"
    )


def test_children_that_end_while_we_look_do_no_harm() -> None:
    from eadbench.samples import process

    program = subprocess.Popen(["sh", "-c", "for i in $(seq 400); do sleep 0 & sleep 0; done; wait"])
    pids = set()
    while program.poll() is None:
        pids.update(process.descendants(program.pid))
    assert pids


def test_gpu_memory_counts_where_there_is_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eadbench.samples import process

    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{os.getpid()}, 1234'\necho '1, 99'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    memory = process.MemoryMonitor(os.getpid())
    memory._next_gpu = 0.0
    memory.sample()
    assert memory.peak_mb == 1234


def test_a_program_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    from eadbench.samples import process

    assert "cannot be started" in process.run(["no-such-program"], tmp_path, tmp_path / "log", 5).problem(5)


def test_missing_repository_names_commit_and_commands(tiny_clips: Path, tmp_path: Path) -> None:
    options = {"kind": "external", "recipe": "wav2lip", "corpora": ["tiny"]}
    reason = rendered(tiny_clips, tmp_path / "samples.parquet", options)["reason"][0]
    commit = "5c90fa9b4a2c2a37d0b4ebf7633ac41534eb9941"
    assert (
        "https://github.com/Rudrabha/Wav2Lip" in reason
        and "git clone" in reason
        and f"checkout {commit}" in reason
    )
    assert "ca9ab7b7b812c0e80a6e70a5977c545a1e8a365a6c49d5e533023c034d7ac3d8" in reason, (
        "weights are in the same list"
    )


def test_another_commit_is_refused_unless_allowed(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("musetalk")
    repo = Path(options["path"])
    (repo / "README").write_text("changed")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "later")
    table = rendered(tiny_clips, tmp_path / "a" / "samples.parquet", options)
    assert (
        table["status"].tolist() == ["dropped"]
        and "expected" in table["reason"][0]
        and git(repo, "rev-parse", "HEAD") in table["reason"][0]
    )
    assert rendered(tiny_clips, tmp_path / "b" / "samples.parquet", options | {"any_commit": True})[
        "status"
    ].tolist() == ["kept"]


def test_local_changes_are_noted_and_part_of_the_hash(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("wav2lip")
    before = rendered(tiny_clips, tmp_path / "a" / "samples.parquet", options)["run_hash"][0]
    script = Path(options["path"]) / "inference.py"
    script.write_text(script.read_text() + "# changed\n")
    after = rendered(tiny_clips, tmp_path / "b" / "samples.parquet", options)
    assert after["status"].tolist() == ["kept"] and after["run_hash"][0] != before
    config = SamplesConfig.model_validate({"methods": {"other": options}})
    assert any(
        "local changes in 1 files" in note
        for note in make_method("other", config.methods["other"], MethodContext(7, "cpu", config)).notes()
    )


def test_weights_in_a_folder_are_part_of_the_hash(checkout) -> None:
    options = checkout("wav2lip", weights=[{"path": "pack", "source": "somewhere"}])
    config = SamplesConfig.model_validate({"methods": {"other": options}})
    file, hashes = Path(options["weights"]) / "pack" / "models" / "a.onnx", set()
    file.parent.mkdir(parents=True)
    for content in (b"some", b"other weights"):
        file.write_bytes(content)
        hashes.add(make_method("other", config.methods["other"], MethodContext(7, "cpu", config)).hash)
    assert len(hashes) == 2


def test_a_folder_inside_another_checkout_is_no_checkout(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("musetalk")
    options["path"] += "/scripts"
    assert "is not a git checkout" in rendered(tiny_clips, tmp_path / "samples.parquet", options)["reason"][0]


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"size": 3}])
def test_weights_of_the_wrong_hash_or_size_are_refused(
    change: dict, checkout, tiny_clips: Path, tmp_path: Path
) -> None:
    weight = {"path": "checkpoints/wav2lip_gan.pth", "source": "somewhere", **change}
    options = checkout("wav2lip", weights=[weight])
    table = rendered(tiny_clips, tmp_path / "a" / "samples.parquet", options)
    assert (
        table["status"].tolist() == ["dropped"]
        and "wav2lip_gan.pth" in table["reason"][0]
        and "somewhere" in table["reason"][0]
    )
    assert rendered(tiny_clips, tmp_path / "b" / "samples.parquet", options | {"any_weights": True})[
        "status"
    ].tolist() == ["kept"]


def test_needs_a_gpu_that_is_not_there(
    checkout, tiny_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    options = checkout("latentsync", gpu=True)
    assert "needs a GPU" in rendered(tiny_clips, tmp_path / "samples.parquet", options)["reason"][0]


def test_an_emotion_that_it_does_not_know_costs_that_clip(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("edtalk", emotions={"fear": "fear"})
    table = rendered(tiny_clips, tmp_path / "samples.parquet", options, max_clips=None)
    assert (
        sorted(table["status"]) == ["failed", "kept"]
        and table["reason"].str.contains("knows no emotion 'disgust'").any()
    )


def test_shipped_recipes_are_complete() -> None:
    assert set(shipped_recipes()) >= {"wav2lip", "ip_lap", "musetalk", "latentsync", "eat", "edtalk"}
    for name in shipped_recipes():
        recipe, _ = load_recipe(name)
        assert (
            len(recipe.commit) == 40
            and recipe.repository.startswith("https://")
            and recipe.ran
            and recipe.weights
        )
        environment = yaml.safe_load((ENVS / f"{recipe.environment}.yaml").read_text())
        assert environment["channels"] == ["conda-forge", "nodefaults"]


@pytest.mark.parametrize("path", sorted(folder_of("wav2lip").glob("*.py")), ids=lambda p: p.stem)
def test_what_runs_elsewhere_needs_nothing_of_ours(path: Path) -> None:
    """The worker and the adapters run with interpreters down to 3.6 in environments
    without eadbench.
    """
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    nodes = list(ast.walk(tree))
    imports = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names} | {
        n.module for n in nodes if isinstance(n, ast.ImportFrom)
    }
    assert imports and not any(name.startswith("eadbench") for name in imports)


def test_an_invalid_recipe_is_explained(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("title: x\ncomand: []\n")
    with pytest.raises(EadbenchError, match="comand"):
        load_recipe(str(tmp_path / "r.yaml"))
    recipe = yaml.safe_load(load_recipe("edtalk")[1])
    for change, message in (
        ({"command": ["bash", "run.sh"]}, "first word of the command"),
        ({"worker": {"adapter": "x.py"}}, "adapter of the recipe"),
    ):
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe | change))
        with pytest.raises(EadbenchError, match=message):
            load_recipe(str(tmp_path / "r.yaml"))
    with pytest.raises(EadbenchError, match=r"shipped: .*wav2lip"):
        load_recipe("wav3lip")
