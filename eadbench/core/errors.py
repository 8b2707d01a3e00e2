"""The exceptions that users see: what happened, where, and how to fix it; and failures
that no clip is to blame for.
"""

import errno
import logging
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)
LONGEST = 500  # characters of a message of another library
# Folders of the shipped configurations that have one of their own -> their files.
CONFIG_FILES = {
    "paper": "config/paper.yaml",
    "study": "config.yaml config/study.yaml",
    "long": "config.yaml config/long.yaml",
}


def workflow_command(path: str | Path, is_target: bool = True) -> str:
    """The call of Snakemake that makes a file, for hints; with the ``--configfile`` of
    the shipped configuration in whose folder it lies.

    Args:
        path: The file, or a folder of results.
        is_target: Whether to ask for it alone; of folders, not all are targets.
    """
    command = "snakemake --cores all"
    if files := CONFIG_FILES.get(str(path).partition("/")[0]):
        command += f" --configfile {files}" + (" --" if is_target else "")
    return f"{command} {shlex.quote(str(path))}" if is_target else command


class ExplainedError(Exception):
    """A failure with a remedy.

    Args:
        what: What went wrong, one sentence.
        where: File, clip or config key concerned.
        hint: What the user can do about it.
    """

    def __init__(self, what: str, where: object = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, str(where), hint
        parts = [what]
        if self.where:
            parts.append(f"  where: {self.where}")
        if hint:
            parts.append(f"  hint:  {hint}")
        super().__init__("\n".join(parts))


class EadbenchError(ExplainedError):
    """What users get to see. Where many clips are worked on, a clip that raises it
    costs itself and the work goes on.
    """


class FatalError(ExplainedError):
    """What no clip is to blame for: a file that an earlier job made was changed since,
    or the disk is full.

    No ``EadbenchError`` on purpose: a handler that lets a bad clip cost only itself
    must not take it for one, or the tables would come out wrong.
    """


# Of the operating system: disk full, quota used up, too many open files (of the
# process, of the machine), no memory, the device does not answer.
_SYSTEM = {
    errno.ENOSPC: "free some space and run again; what is finished is kept",
    errno.EDQUOT: "free some of the quota and run again; what is finished is kept",
    errno.EMFILE: "raise the limit of open files (ulimit -n) and run again",
    errno.ENFILE: "too many files are open on this machine: wait or ask its administrator, and run again",
    errno.ENOMEM: "give the job more memory (`resources: mem_mb`), or run fewer at a time",
    errno.EIO: "look at the disk or the network share (dmesg) and run again",
}
_MORE_MEMORY = (
    "give the job more memory (`resources: mem_mb`; on a GPU a smaller batch), or run fewer at "
    "a time; what is finished is kept"
)
# What torch, OpenCV, onnxruntime and the C++ library say when there is no memory, no
# thread, or the GPU is gone. They have no types of their own.
_MEMORY = re.compile(
    r"DefaultCPUAllocator|\bout of memory\b|Insufficient memory|bad_?alloc|Failed to allocate memory|can't "
    r"start new thread|_STATUS_ALLOC_FAILED",
    re.I,
)
_DEVICE = re.compile(
    r"\b(CUDA|HIP|cuDNN|CUBLAS|NCCL|MPS)[ _](error|STATUS)|no longer usable|device-side assert", re.I
)


def fatal_cause(error: BaseException) -> FatalError | None:
    """The error to end a job with if no file, clip or metric is to blame for a failure,
    else ``None``.

    Such causes are memory (Python's, numpy's, torch's on CPU and GPU, OpenCV's), a
    GPU that failed, and of the operating system's errors a full disk or quota, too many
    open files, no memory and a device that does not answer; also as the cause of
    another error. What FFmpeg says of memory and input counts as the file's: damaged
    headers ask for any size.
    """
    for cause in _with_causes(error):
        if isinstance(cause, FatalError):
            return cause
        by_ffmpeg = type(cause).__module__.split(".")[0] == "av"
        number = getattr(cause, "errno", None)
        if number in _SYSTEM and not (by_ffmpeg and number in (errno.ENOMEM, errno.EIO)):
            return FatalError(
                os.strerror(number).lower(), getattr(cause, "filename", None) or "", _SYSTEM[number]
            )
        if not by_ffmpeg and not isinstance(cause, ExplainedError):
            kind = type(cause).__name__
            text = f"{kind}: {cause}"
            if isinstance(cause, MemoryError) or _MEMORY.search(text) or kind == "OutOfMemoryError":
                return FatalError(f"out of memory: {_line(cause)}", "", _MORE_MEMORY)
            for number, hint in _SYSTEM.items():  # of some libraries, such as safetensors, in words alone
                if os.strerror(number).lower() in text.lower():
                    return FatalError(os.strerror(number).lower(), "", hint)
            if kind == "AcceleratorError" or _DEVICE.search(text):
                return FatalError(
                    f"the GPU failed: {_line(cause)}",
                    "",
                    "run again; if it stays, look at the driver's log (dmesg)",
                )
    return None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came of; each once, though they may go round in a circle."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def reason_of(error: Exception, where: object) -> str:
    """Why one file, clip or metric failed, in one line for its row. For handlers in
    which a bad one costs only itself:

        try:
            ...
        except Exception as error:
            row["reason"] = reason_of(error, clip_id)

    Unexpected errors are logged with their traceback. Absolute paths are cut to their
    names: a table travels to other machines.

    Args:
        error: What was caught.
        where: The file, clip or metric.

    Raises:
        FatalError: If it is not to blame, see :func:`fatal_cause`: the job must end,
            or the tables would rest on fewer clips.
    """
    fatal = fatal_cause(error)
    if fatal is error:
        raise error
    if fatal is not None:
        places = "; ".join(filter(None, [str(where), fatal.where]))
        raise FatalError(fatal.what, places, fatal.hint) from error
    if isinstance(error, EadbenchError):
        return " ".join(_names_of_paths(error.what, error).split())
    log.warning("%s: unexpected %s", where, type(error).__name__, exc_info=error)
    return f"unexpected {type(error).__name__}: {_line(_names_of_paths(str(error), error))}"


def _names_of_paths(text: str, error: BaseException) -> str:
    """The text with the last part alone of every absolute path that an error or its
    causes name as theirs.
    """
    for cause in _with_causes(error):
        for path in (getattr(cause, name, None) for name in ("where", "filename", "filename2")):
            if isinstance(path, str | os.PathLike) and Path(path).is_absolute():
                for written in (str(path), repr(str(path))[1:-1]):
                    text = text.replace(written, Path(path).name)
    return text


def _line(error: object) -> str:
    return " ".join(str(error).split())[:LONGEST] or "no message"
