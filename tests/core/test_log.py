"""What a job prints: the essential on the terminal, everything in its log file."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eadbench.core import log

ROOT = Path(__file__).parents[2]
LOAD = """
import sys
from pathlib import Path
from eadbench.core import log
log.set_up(Path(sys.argv[1]) if sys.argv[1] else None)
from transformers import T5Config, T5EncoderModel
small = T5EncoderModel(T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
small.save_pretrained(sys.argv[2])
T5EncoderModel.from_pretrained(sys.argv[2])
print("loaded")
"""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_details_go_to_the_file_and_not_to_the_terminal(tmp_path, capsys):
    log.set_up(tmp_path / "a.log")
    logging.getLogger("eadbench.x").debug("a detail")
    logging.getLogger("eadbench.x").info("a result")
    logging.getLogger("httpx").info("a request")
    said, kept = capsys.readouterr().err, (tmp_path / "a.log").read_text()
    assert "a result" in said and "a detail" not in said and "a request" not in said
    assert "a result" in kept and "a detail" in kept and "a request" not in kept


def test_libraries_draw_no_bars_into_the_lines_of_other_jobs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "a.log"), str(tmp_path / "t5")],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0 and "loaded" in done.stdout, done.stderr
    assert not done.stderr, "neither bars nor warnings"
