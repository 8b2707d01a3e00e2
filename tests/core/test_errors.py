"""What costs a file and what ends the job."""

import errno
import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors import SafetensorError

from eadbench.core.errors import (
    CONFIG_FILES,
    EadbenchError,
    FatalError,
    fatal_cause,
    reason_of,
    workflow_command,
)
from eadbench.core.settings import load
from eadbench.media.reading import open_media

ROOT = Path(__file__).parents[2]
HUGE = 1 << 50


def caught(doing):
    with pytest.raises(Exception) as info:
        doing()
    return info.value


def wrapped(error):
    try:
        raise EadbenchError("cannot be opened as media") from error
    except EadbenchError as outer:
        return outer


@pytest.mark.parametrize(
    ("doing", "what"),
    [
        (lambda: np.zeros(HUGE), "out of memory"),
        (lambda: torch.empty(HUGE), "out of memory"),
        (lambda: cv2.resize(np.zeros((9, 9), np.uint8), (1 << 30, 1 << 30)), "out of memory"),
    ],
)
def test_real_failures_of_memory_end_the_job(doing, what):
    with pytest.raises(FatalError, match=what) as info:
        reason_of(caught(doing), "clip a-000")
    assert info.value.where == "clip a-000" and "memory" in info.value.hint


@pytest.mark.parametrize(
    ("error", "what"),
    [
        *[
            (OSError(n, os.strerror(n), "/a/b"), os.strerror(n).lower())
            for n in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENOMEM, errno.EIO)
        ],
        (MemoryError(), "out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out of memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "the GPU failed"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), "the GPU failed"),
        (RuntimeError("can't start new thread"), "out of memory"),
        (av.error.OSError(errno.ENOSPC, "No space left on device", "x.mp4"), "no space left"),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "no space left",
        ),
        (RuntimeError("cannot open shared memory: Too many open files"), "too many open files"),
        (FatalError("table is damaged", "t.parquet", "make it again"), "table is damaged"),
    ],
)
@pytest.mark.parametrize("dress", [lambda e: e, wrapped])
def test_a_fatal_cause_ends_the_job_however_it_is_wrapped(error, what, dress):
    with pytest.raises(FatalError, match=what):
        reason_of(dress(error), "a-000")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EadbenchError("video breaks off:\n at 3 s", "x.mp4"), "video breaks off: at 3 s"),
        (ValueError("bad shape"), "unexpected ValueError: bad shape"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "x"),
            "unexpected FileNotFoundError: [Errno 2] No such file: 'x'",
        ),
        (
            av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory", "x.mp4"),
            "unexpected MemoryError: [Errno 12] Cannot allocate memory: 'x.mp4'",
        ),
        (
            av.error.OSError(errno.EIO, "Input/output error", "x.mp4"),
            "unexpected OSError: [Errno 5] Input/output error: 'x.mp4'",
        ),
        (RuntimeError(), "unexpected RuntimeError: no message"),
    ],
)
def test_a_files_own_fault_is_a_reason(error, reason, caplog):
    assert reason_of(error, "a-000") == reason
    assert fatal_cause(error) is None and fatal_cause(wrapped(error)) is None
    assert ("a-000" in caplog.text) == (not isinstance(error, EadbenchError)), (
        "what nobody expected goes to the log"
    )


def test_of_a_path_of_this_machine_a_reason_keeps_the_name(tmp_path):
    (tmp_path / "it's bad.mp4").write_bytes(b"nothing")
    refused = caught(lambda: open_media(tmp_path / "it's bad.mp4"))
    assert str(tmp_path) in str(refused)
    for error in (refused, refused.__cause__):
        reason = reason_of(error, "a-000")
        assert "Invalid data" in reason and "it's bad.mp4" in reason and str(tmp_path) not in reason


def test_a_cause_that_was_put_aside_does_not_count_and_circles_end():
    error = ValueError("x")
    error.__context__, error.__suppress_context__ = MemoryError(), True
    assert fatal_cause(error) is None
    error.__suppress_context__ = False
    assert fatal_cause(error) is not None
    a, b = ValueError("a"), ValueError("b")
    a.__cause__, b.__cause__ = b, a
    assert fatal_cause(a) is None


def test_the_call_that_makes_a_file_names_the_configuration_in_whose_folder_it_lies():
    assert workflow_command("results/a", is_target=False) == "snakemake --cores all"
    assert workflow_command("paper/results/a", is_target=False) == (
        "snakemake --cores all --configfile config/paper.yaml"
    )
    assert workflow_command("results/a b/card.json") == "snakemake --cores all 'results/a b/card.json'"
    assert workflow_command("paper/results/training/full/card.json") == (
        "snakemake --cores all --configfile config/paper.yaml -- paper/results/training/full/card.json"
    )


def test_each_shipped_configuration_with_a_folder_of_its_own_is_known():
    given = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / "config").glob("*.yaml")}
    folders = {name: raw["pathvars"]["results"] for name, raw in given.items() if "pathvars" in raw}
    own = {name for name, folder in folders.items() if folder != "results"}
    assert own == {files.rpartition("/")[2] for files in CONFIG_FILES.values()}
    for folder, files in CONFIG_FILES.items():
        assert load(None, [ROOT / name for name in files.split()]).results.parts[0] == folder
