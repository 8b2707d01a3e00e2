import json

import faces
import pytest
from typer.testing import CliRunner

from eadbench.captions.cli import app
from eadbench.captions.config import CaptionsConfig
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.settings import Settings
from eadbench.core.tables import read_table
from eadbench.zoo.cli import app as zoo

SETTINGS = {
    "seed": 1,
    "device": "cpu",
    "captions": {"captioner": "measured"},
    "zoo": {
        "artefacts": {
            "sentence": {"kind": "sentence", "how": "trained", "uses_clips": False, "uses_captions": True}
        }
    },
}


def call(command, *arguments):
    done = CliRunner().invoke(
        command, [str(a) for a in (*arguments, "--settings", json.dumps(SETTINGS))], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output


def test_all_verbs_in_their_order(tmp_path):
    clips = faces.make_table(tmp_path / "clips", speakers=3, frames=12)
    shards = [tmp_path / f"shards/{k}-of-2.parquet" for k in range(2)]
    written, filtered = tmp_path / "written.parquet", tmp_path / "captions.parquet"
    for k, shard in enumerate(shards):
        call(app, "write", "--corpus", "faces", "--shard", f"{k}-of-2", "--clips", clips, "--out", shard)
    done = CliRunner().invoke(
        app, ["merge", "--out", str(written), *map(str, shards)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    call(zoo, "make", "sentence", "--captions", written, "--out", tmp_path / "sentence" / "card.json")
    part = f"sentence={tmp_path / 'sentence'}"
    call(
        app,
        "filter",
        "--corpus",
        "faces",
        "--written",
        written,
        "--clips",
        clips,
        "--part",
        part,
        "--out",
        filtered,
    )
    call(app, "report", "--captions", filtered, "--out", tmp_path / "report.html")
    table = read_table(filtered, schemas.CAPTIONS)
    assert len(table) == 54
    assert set(table.status) == {"kept", "dropped"}
    assert (tmp_path / "report.json").exists()


@pytest.mark.parametrize(
    "block",
    [
        {"captioner": "oracle"},
        {"captioner": "qwen"},
        {"captioner": "endpoint"},
        {"captioner": "measured", "beams": 4},
        {"captioner": "measured", "filter": {"keep": "quantile", "value": -0.5}},
        {"captioner": "qwen", "qwen": {"model": "a", "artefact": "b"}},
    ],
)
def test_mistakes_in_the_config_are_told(block):
    with pytest.raises(EadbenchError, match="invalid configuration"):
        _ = Settings({"captions": block}).captions


def test_no_field_can_hold_a_key():
    names = json.dumps(CaptionsConfig.model_json_schema())
    assert "key_env" in names
    assert "api_key" not in names
