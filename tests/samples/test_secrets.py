"""A method with secrets leaves them nowhere: not in tables, records, logs, nor in the
log of a program that prints them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_clips import make_clips

from eadbench.core import schemas
from eadbench.core.tables import read_table

WRITTEN, REFERRED = "written-out-8274", "referred-to-5513"
PROGRAM = """
import os, shutil, sys
print("my environment:", os.environ["ONE"], os.environ["TWO"], flush=True)
open(sys.argv[3], "w").write(os.environ["ONE"] + os.environ["TWO"])
if "fail" in sys.argv:
    sys.exit(f"no entry with {os.environ['ONE']}")
shutil.copy(sys.argv[1], sys.argv[2])
"""


@pytest.mark.parametrize("fail", [False, True])
def test_no_secret_of_a_method_is_found_in_results_and_logs(tmp_path: Path, fail: bool) -> None:
    clips = make_clips(tmp_path / "clips", speakers=2, per_speaker=1, frames=8)
    (tmp_path / "program.py").write_text(PROGRAM)
    command = f"{{python}} '{tmp_path}/program.py' {{video}} {{out}} '{tmp_path}/told' " + (
        "fail" if fail else ""
    )
    method = {
        "kind": "command",
        "corpora": ["tiny"],
        "command": command,
        "env": {"ONE": WRITTEN, "TWO": "${THE_TOKEN}"},
    }
    settings = json.dumps({"seed": 1, "device": "cpu", "samples": {"methods": {"m": method}}})
    made = [
        sys.executable,
        "-m",
        "eadbench",
        "--log",
        str(tmp_path / "out" / "job.log"),
        "samples",
        "make",
        "--method",
        "m",
    ]
    made += [
        "--corpus",
        "tiny",
        "--clips",
        str(clips),
        "--settings",
        settings,
        "--out",
        str(tmp_path / "out" / "samples.parquet"),
    ]
    done = subprocess.run(made, env=os.environ | {"THE_TOKEN": REFERRED}, capture_output=True, text=True)
    assert done.returncode == int(fail), done.stderr
    assert (tmp_path / "told").read_text() == WRITTEN + REFERRED, "the program itself gets them"
    written = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert any(b"my environment: *** ***" in data for data in written.values()), "the program's own log"
    for path, data in [*written.items(), ("stderr", done.stderr.encode())]:
        assert WRITTEN.encode() not in data and REFERRED.encode() not in data, path


def test_a_variable_that_is_not_there_is_named_before_anything_runs(tmp_path: Path) -> None:
    from eadbench.samples.config import SamplesConfig
    from eadbench.samples.make import make
    from eadbench.samples.methods.base import MethodContext

    clips = make_clips(tmp_path / "clips", speakers=2, per_speaker=1, frames=8)
    method = {
        "kind": "command",
        "corpora": ["tiny"],
        "command": "{python} x",
        "env": {"TWO": "${THE_TOKEN_OF_NOBODY}"},
    }
    config, out = (
        SamplesConfig.model_validate({"methods": {"m": method}}),
        tmp_path / "out" / "samples.parquet",
    )
    make("m", "tiny", "self", clips, MethodContext(7, "cpu", config, log_folder=tmp_path), out)
    (row,) = read_table(out, schemas.SAMPLES).to_dict("records")
    assert (
        row["status"] == "dropped"
        and "variable is not in the environment: THE_TOKEN_OF_NOBODY" in row["reason"]
    )
