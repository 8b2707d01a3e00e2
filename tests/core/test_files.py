"""A folder that is replaced is there after a kill at any moment: the old one or the new
one, whole.
"""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from eadbench.core import files
from eadbench.core.files import atomic_path, restore


def replace(target: Path, content: str) -> None:
    with atomic_path(target) as part:
        part.mkdir()
        (part / "a").write_text(content)
        (part / "b").write_text(content)


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Do ``work`` in a process that is killed before its ``step``-th change of a name
    or removal; whether it came that far.
    """
    child = os.fork()
    if child == 0:
        left = step

        def counted(real: Callable) -> Callable:
            def call(*args: object, **kwargs: object) -> object:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return real(*args, **kwargs)

            return call

        for module, name in (
            (os, "replace"),
            (os, "rename"),
            (os, "unlink"),
            (os, "rmdir"),
            (shutil, "rmtree"),
        ):
            setattr(module, name, counted(getattr(module, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_folder_survives_a_kill_at_every_step_of_its_replacement(tmp_path: Path) -> None:
    read, step = [], 0
    while True:
        target = tmp_path / str(step) / "state"
        replace(target, "old")
        killed = killed_at(step, lambda target=target: replace(target, "new"))
        restore(target)
        contents = {(target / name).read_text() for name in ("a", "b")}
        assert len(contents) == 1
        read += contents
        assert not list(target.parent.glob(".old-*"))
        replace(target, "next")
        assert (target / "a").read_text() == "next"
        if not killed:
            break
        step += 1
    assert step >= 3, "killed before the first renaming, before the second and before the removal at least"
    assert read[0] == "old" and read[-1] == "new"


def test_a_failure_between_the_renamings_gives_the_old_folder_its_name_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "state"
    replace(target, "old")
    real = Path.replace

    def fails_for_the_new(self: Path, other: Path) -> Path:
        if self.name.startswith(".part-"):
            raise PermissionError
        return real(self, other)

    monkeypatch.setattr(Path, "replace", fails_for_the_new)
    with pytest.raises(PermissionError):
        replace(target, "new")
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(files, "sha256_of", lambda path: read.append(path) or len(read))
    path = tmp_path / "large"
    path.write_text("a")
    assert files.hash_once(path) == files.hash_once(str(path)) == 1
    path.write_text("other")
    assert files.hash_once(path) == 2
