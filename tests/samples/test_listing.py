"""What `methods list` reports as missing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eadbench.core import schemas
from eadbench.core.settings import Settings, load
from eadbench.core.tables import write_table
from eadbench.samples.cli import methods_app
from eadbench.samples.listing import missing_by_method, show

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo() -> Settings:
    return load(None, [ROOT / "config.yaml"], whole=True)


def leave(results: Path, settings: Settings) -> None:
    """Cards and records as the workflow leaves them, without the weights."""
    for run in settings.training.runs:
        _record(results / "training" / run, settings.read_by("training run", run=run))
    for part in settings.zoo.artefacts:
        _record(results / "zoo" / part, settings.read_by("zoo make", artefact=part))


def _record(folder: Path, config: dict) -> None:
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{}")
    (folder / "provenance.json").write_text(json.dumps({"config": config}))


def missing_of(settings: Settings, results: Path) -> dict[str, str]:
    return {
        method.name: "; ".join(map(str, missing_items))
        for method, missing_items in missing_by_method(settings, results)
        if missing_items
    }


def test_runs_and_artefacts_of_the_same_settings_are_ready(demo, tmp_path):
    leave(tmp_path, demo)
    assert not missing_of(demo, tmp_path)


def test_the_demo_s_model_is_not_that_of_the_paper(demo, tmp_path, capsys):
    leave(tmp_path, demo)
    paper = load(None, [ROOT / "config/paper.yaml"], whole=True)
    message = missing_of(paper, tmp_path)["full"]
    assert (
        "made with other settings" in message
        and "training/full: training.runs.full." in message
        and "zoo/vae: zoo.artefacts.vae.how" in message
    )
    show(paper, tmp_path)
    row = next(
        line
        for line in capsys.readouterr().out.splitlines()
        if line.split("│")[1:2] == [" full                "]
    )
    assert "ready" not in row and "missing" in row


def test_commands_look_where_their_configuration_writes(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    leave(tmp_path / "results", demo)
    for config, message in (("config.yaml", "full: "), ("config/paper.yaml", "paper/results/training/full")):
        result = CliRunner().invoke(methods_app, ["list", "--config", str(ROOT / config)])
        assert result.exit_code == 0 and (message in result.output) is (config != "config.yaml"), (
            result.output
        )


def test_a_run_that_was_made_by_hand_is_compared_too(demo, tmp_path):
    leave(tmp_path, demo)
    by_hand = json.loads(json.dumps(demo.raw))
    for seed, same in ((demo.seed, True), (77, False)):
        by_hand["seed"] = seed
        (tmp_path / "training/full/provenance.json").write_text(json.dumps({"config": by_hand}))
        (tmp_path / "training/no_stda/provenance.json").write_text("{half")
        missing = missing_of(demo, tmp_path)
        assert ("full" not in missing) is same, missing
        assert "no_stda" not in missing, "an unreadable record is no reason"


def test_a_folder_of_videos_without_one_of_a_test_clip_is_not_ready(demo, tmp_path):
    raw = json.loads(json.dumps(demo.raw))
    raw["samples"]["methods"] = {
        "mine": {"kind": "videos", "path": str(tmp_path / "mine"), "corpora": ["demo_mead"], "licence": "MIT"}
    }
    settings = Settings(raw)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/other.mp4").touch()
    assert "mine" not in missing_of(settings, tmp_path), "the clips are not cut yet"
    clips = [
        {"clip_id": f"{split}-000", "recording_id": split, "corpus": "demo_mead", "split": split}
        | {"status": "kept", "reason": ""}
        for split in ("train", "test")
    ]
    write_table(tmp_path / "clips/demo_mead/clips.parquet", clips, schemas.CLIPS)
    message = "no video there is of a test clip of demo_mead (self)"
    assert message in missing_of(settings, tmp_path)["mine"]
    (tmp_path / "mine/train-000.mp4").touch()
    assert "1 clips, the first is test-000" in missing_of(settings, tmp_path)["mine"]
    (tmp_path / "mine/test-000.MP4").touch()
    assert "mine" not in missing_of(settings, tmp_path)
