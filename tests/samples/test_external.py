"""Recipes of published repositories, run against stand-ins with the same command lines; and everything that can go wrong."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from samples.standins.programs import HEAD, PROGRAMS

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table
from eadbench.media.video import read_frames
from eadbench.samples.config import SamplesConfig
from eadbench.samples.make import make
from eadbench.samples.methods.base import Context
from eadbench.samples.recipe import load_recipe, shipped

STANDIN = Path(__file__).parent / "standins" / "standin.py"
ENVS = Path(__file__).parents[2] / "envs"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path):
    """Make a stand-in's checkout, its weights and a copy of the recipe that expects its commit; gives the method's options."""

    def build(name: str, **changes) -> dict:
        repo, weights = tmp_path / f"{name} repo", tmp_path / f"{name} weights"  # with a space, as users have them
        for path, text in PROGRAMS[name].items():
            (repo / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / path).write_text(HEAD + text if path.endswith(".py") and text else text)
        shutil.copy(STANDIN, repo / "standin.py")
        git(repo, "init", "-q")
        git(repo, "add", "-A")
        git(repo, "commit", "-qm", "stand-in")
        recipe = yaml.safe_load(load_recipe(name)[1])
        recipe["commit"], recipe["gpu"] = git(repo, "rev-parse", "HEAD"), False
        for weight in recipe["weights"]:
            (weights / weight["path"]).parent.mkdir(parents=True, exist_ok=True)
            (weights / weight["path"]).write_bytes(b"weights")
            weight |= {"sha256": None, "size": None}
        recipe |= changes
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe))
        options = {"kind": "external", "recipe": str(path), "path": str(repo), "weights": str(weights), "python": sys.executable, "corpora": ["tiny"]}
        return options | {"timeout": 30}

    return build


def rendered(tiny_clips: Path, out: Path, options: dict, protocol: str = "self", **samples) -> pd.DataFrame:
    config = SamplesConfig.model_validate({"methods": {"other": options}, "max_clips": 1, **samples})
    make("other", "tiny", protocol, tiny_clips, Context(7, "cpu", config, log_folder=out.parent / "logs"), out)
    return read_table(out, schemas.SAMPLES)


# Frames that come back of 50, and frames that the program wrote.
COUNTS = {"wav2lip": (47, 47), "ip_lap": (46, 46), "musetalk": (50, 50), "latentsync": (50, 52), "eat": (50, 50), "edtalk": (48, 48)}


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_recipe_runs_its_program(name: str, checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout(name)
    clips = read_table(tiny_clips, schemas.CLIPS)
    if name == "eat":
        options["prepared"] = str(tmp_path / "prepared")
        for clip in clips["clip_id"]:
            folder = tmp_path / "prepared" / clip / "images_evp_25" / "cropped"
            folder.mkdir(parents=True)
            for k in range(50):
                (folder / f"{k}.jpg").touch()
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
        assert error > 20 and abs(images[:, :1, :1].astype(int) - clip[:, :1, :1]).mean() < 12, "only the face box was changed"
    assert (tmp_path / "out" / "logs" / f"{row['clip_id']}.log").exists()


BAD = {
    "fail": "ended with status 1",
    "nothing": "no output was written; the program ended with status 0",
    "short9": "too short",
    "fps30": "frame rate is 30, expected 25",
}


@pytest.mark.parametrize("how", sorted(BAD))
def test_a_bad_clip_is_a_row_with_a_reason(how: str, checkout, tiny_clips: Path, tmp_path: Path) -> None:
    """The first of two clips goes wrong, the second is rendered."""
    options = checkout("musetalk")
    script = Path(options["path"]) / "scripts" / "inference.py"
    only_first = f"if 'first' not in os.environ.get('SEEN', '') and not Path({str(tmp_path / 'seen')!r}).exists(): os.environ['STANDIN'] = {how!r}\n"
    script.write_text(f"import os\nfrom pathlib import Path\n{only_first}Path({str(tmp_path / 'seen')!r}).touch()\n" + script.read_text())
    options["any_commit"] = True
    table = rendered(tiny_clips, tmp_path / "out" / "samples.parquet", options, max_clips=None)
    assert table["status"].tolist() == ["failed", "kept"]
    assert BAD[how] in table["reason"][0]
    assert not (tmp_path / "out" / "videos" / f"{table['clip_id'][0]}.mp4").exists()


def test_three_frames_too_few_are_refused_unless_the_recipe_allows_them(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("musetalk") | {"env": {"STANDIN": "short"}}
    with pytest.raises(EadbenchError, match="all 1 clips of other failed"):
        rendered(tiny_clips, tmp_path / "out" / "samples.parquet", options)
    options = checkout("wav2lip") | {"env": {"STANDIN": "well"}}
    assert rendered(tiny_clips, tmp_path / "b" / "samples.parquet", options)["status"].tolist() == ["kept"]


@pytest.mark.parametrize("how", ["hang", "hang_children"])
def test_what_hangs_is_stopped_with_its_children(how: str, checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("musetalk") | {"env": {"STANDIN": how}, "timeout": 1.5}
    started = time.monotonic()
    with pytest.raises(EadbenchError):
        rendered(tiny_clips, tmp_path / "out" / "samples.parquet", options)
    assert time.monotonic() - started < 20


def test_gigabytes_of_output_do_not_fill_the_disk(tmp_path: Path) -> None:
    from eadbench.samples import process

    code = "import os\nfor _ in range(2000): os.write(1, b'y' * 65536)\nos.write(2, b'the end')"
    end = process.run([sys.executable, "-c", code], tmp_path, tmp_path / "log", 60)
    assert end.status == 0 and end.output == 2000 * 65536 + 7
    kept = (tmp_path / "log").read_bytes()
    assert len(kept) < 2 << 20 and kept.endswith(b"the end") and b"bytes left out" in kept


def test_memory_is_the_programs_own(tmp_path: Path) -> None:
    from eadbench.samples import process

    ballast = bytearray(300 << 20)
    code = "import time; x = bytearray(80 << 20); time.sleep(0.5)"
    end = process.run([sys.executable, "-c", code], tmp_path, tmp_path / "log", 60)
    assert 80 < end.peak_mb < 200 and len(ballast)


def test_a_program_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    from eadbench.samples import process

    assert "cannot be started" in process.run(["no-such-program"], tmp_path, tmp_path / "log", 5).trouble(5)


def test_missing_repository_names_commit_and_commands(tiny_clips: Path, tmp_path: Path) -> None:
    options = {"kind": "external", "recipe": "wav2lip", "corpora": ["tiny"]}
    reason = rendered(tiny_clips, tmp_path / "samples.parquet", options)["reason"][0]
    commit = "5c90fa9b4a2c2a37d0b4ebf7633ac41534eb9941"
    assert "https://github.com/Rudrabha/Wav2Lip" in reason and "git clone" in reason and f"checkout {commit}" in reason
    assert "ca9ab7b7b812c0e80a6e70a5977c545a1e8a365a6c49d5e533023c034d7ac3d8" in reason, "weights are in the same list"


def test_another_commit_is_refused_unless_allowed(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("musetalk")
    repo = Path(options["path"])
    (repo / "README").write_text("changed")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "later")
    table = rendered(tiny_clips, tmp_path / "a" / "samples.parquet", options)
    assert table["status"].tolist() == ["dropped"] and "expected" in table["reason"][0] and git(repo, "rev-parse", "HEAD") in table["reason"][0]
    assert rendered(tiny_clips, tmp_path / "b" / "samples.parquet", options | {"any_commit": True})["status"].tolist() == ["kept"]


def test_a_folder_inside_another_checkout_is_no_checkout(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("musetalk")
    options["path"] += "/scripts"
    assert "is not a git checkout" in rendered(tiny_clips, tmp_path / "samples.parquet", options)["reason"][0]


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"size": 3}])
def test_weights_of_the_wrong_hash_or_size_are_refused(change: dict, checkout, tiny_clips: Path, tmp_path: Path) -> None:
    weight = {"path": "checkpoints/wav2lip_gan.pth", "source": "somewhere", **change}
    options = checkout("wav2lip", weights=[weight])
    table = rendered(tiny_clips, tmp_path / "a" / "samples.parquet", options)
    assert table["status"].tolist() == ["dropped"] and "wav2lip_gan.pth" in table["reason"][0] and "somewhere" in table["reason"][0]
    assert rendered(tiny_clips, tmp_path / "b" / "samples.parquet", options | {"any_weights": True})["status"].tolist() == ["kept"]


def test_needs_a_gpu_that_is_not_there(checkout, tiny_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    options = checkout("latentsync", gpu=True)
    assert "needs a GPU" in rendered(tiny_clips, tmp_path / "samples.parquet", options)["reason"][0]


def test_an_emotion_that_it_does_not_know_costs_that_clip(checkout, tiny_clips: Path, tmp_path: Path) -> None:
    options = checkout("edtalk", emotions={"fear": "fear"})
    table = rendered(tiny_clips, tmp_path / "samples.parquet", options, max_clips=None)
    assert sorted(table["status"]) == ["failed", "kept"] and table["reason"].str.contains("knows no emotion 'disgust'").any()


def test_shipped_recipes_are_complete() -> None:
    assert set(shipped()) >= {"wav2lip", "ip_lap", "musetalk", "latentsync", "eat", "edtalk"}
    for name in shipped():
        recipe, _ = load_recipe(name)
        assert len(recipe.commit) == 40 and recipe.repository.startswith("https://") and recipe.ran and recipe.weights
        environment = yaml.safe_load((ENVS / f"{recipe.environment}.yaml").read_text())
        assert environment["channels"] == ["conda-forge", "nodefaults"]


def test_an_invalid_recipe_is_explained(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("title: x\ncomand: []\n")
    with pytest.raises(EadbenchError, match="comand"):
        load_recipe(str(tmp_path / "r.yaml"))
    with pytest.raises(EadbenchError, match=r"shipped: .*wav2lip"):
        load_recipe("wav3lip")
