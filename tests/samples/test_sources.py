"""What a method of the user's reads is a dependency by its content."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from eadbench.samples.config import Method
from eadbench.samples.sources import Digests, reads

ROOT = Path(__file__).parents[2]


def digests_of(**entry):
    return reads(TypeAdapter(Method).validate_python({"corpora": ["c"], **entry}), "c", "self", Digests())


def touch(path: Path) -> None:
    """Another time stamp, the same content."""
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))


def test_another_content_of_a_video_counts_and_another_time_stamp_does_not(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "other").mkdir()
    for name in ("c/a.mp4", "c/b.mp4", "other/x.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    options = {"kind": "videos", "path": str(tmp_path / "{corpus}")}
    before = digests_of(**options)
    touch(tmp_path / "c/a.mp4")
    (tmp_path / "other/x.mp4").write_bytes(b"of another corpus")
    assert digests_of(**options) == before and before
    (tmp_path / "c/a.mp4").write_bytes(b"c/A.mp4")
    assert digests_of(**options) != before
    (tmp_path / "c/a.mp4").write_bytes(b"c/a.mp4")
    assert digests_of(**options) == before
    (tmp_path / "c/new.mp4").touch()
    assert digests_of(**options) != before


def test_the_mapping_counts_and_a_folder_that_an_earlier_job_fills_is_left_to_it(tmp_path):
    (tmp_path / "map.csv").write_text("clip_id,video\n")
    options = {
        "kind": "videos",
        "path": str(tmp_path),
        "mapping": str(tmp_path / "map.csv"),
        "after": "other",
    }
    before = digests_of(**options)
    (tmp_path / "a.mp4").touch()
    assert digests_of(**options) == before and set(before) == {"mapping"}
    (tmp_path / "map.csv").write_text("clip_id,video\na,b\n")
    assert digests_of(**options) != before


@pytest.mark.parametrize(
    "command", ["{python} SCRIPT {video} {out}", "SCRIPT {video} {out}", "sh -c --run=SCRIPT {out}"]
)
def test_the_files_that_a_command_names_count(tmp_path, command):
    script = tmp_path / "run it.py"
    script.write_text("print(1)\n")
    options = {"kind": "command", "command": command.replace("SCRIPT", f"'{script}'").replace("=''", "=")}
    before = digests_of(**options)
    touch(script)
    assert digests_of(**options) == before and any("run it.py" in word for word in before)
    script.write_text("print(2)\n")
    assert digests_of(**options) != before


def committed(repo: Path, message: str = "one") -> None:
    git = ["git", "-C", str(repo), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", message]):
        subprocess.run([*git, *words], check=True)


def test_what_a_program_imports_counts_where_its_checkout_tracks_it(tmp_path):
    for name in ("infer.py", "model.py"):
        (tmp_path / name).write_text("1\n")
    options = {"kind": "command", "command": "{python} infer.py {video} {out}", "cwd": str(tmp_path)}
    (tmp_path / "model.py").write_text("2\n")
    assert list(digests_of(**options)) == ["infer.py"], "no checkout: only what the command line names"
    committed(tmp_path)
    results = [digests_of(**options)]
    (tmp_path / "model.py").write_text("3\n")
    results.append(digests_of(**options))
    committed(tmp_path, "two")
    results.append(digests_of(**options))
    assert len({str(result) for result in results}) == 3, "changed module, commit"
    assert digests_of(**options) == results[-1]


def test_files_and_folders_that_the_user_names_count_in_place_of_the_checkout(tmp_path):
    (tmp_path / "weights").mkdir()
    for name in ("infer.py", "model.py", "weights/a.pt"):
        (tmp_path / name).write_text("1\n")
    committed(tmp_path)
    names = [str(tmp_path / "model.py"), str(tmp_path / "weights")]
    options = {
        "kind": "command",
        "command": "{python} infer.py {video} {out}",
        "cwd": str(tmp_path),
        "reads": names,
    }
    before = digests_of(**options)
    assert set(before) == {"infer.py", *names}
    (tmp_path / "README").write_text("words\n")
    committed(tmp_path, "words")
    touch(tmp_path / "weights/a.pt")
    assert digests_of(**options) == before
    (tmp_path / "weights/a.pt").write_text("2\n")
    assert {name for name in before if digests_of(**options)[name] != before[name]} == {names[1]}


def test_the_shipped_example_is_identified_by_its_script():
    digests = digests_of(
        kind="command",
        command="{python} {checkout}/examples/mirror_method.py {manifest} {out}",
        per="manifest",
    )
    assert list(digests) == ["{checkout}/examples/mirror_method.py"]


def test_commit_changes_weights_and_recipe_of_a_published_method_count(tmp_path):
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "run.py").write_text("1\n")
    git = ["git", "-C", str(repo), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    text = (ROOT / "eadbench/samples/recipes/wav2lip.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text)
    for adapter in (ROOT / "eadbench/samples/recipes").glob("*.py"):
        (tmp_path / adapter.name).write_bytes(adapter.read_bytes())
    options = {"kind": "external", "recipe": str(tmp_path / "mine.yaml"), "path": str(repo)}
    results = [digests_of(**options)]
    (repo / "run.py").write_text("2\n")
    results.append(digests_of(**options))
    subprocess.run([*git, "commit", "-qam", "two"], check=True)
    results.append(digests_of(**options))
    (tmp_path / "mine.yaml").write_text(text + "\n")
    results.append(digests_of(**options))
    assert len({str(result) for result in results}) == len(results), "changed file, commit, recipe"
    assert digests_of(**options) == results[-1]


def test_methods_of_this_workflow_read_nothing_else():
    assert digests_of(kind="still") == {} == digests_of(kind="eadnet", run="full")


def test_hashes_are_remembered_from_one_planning_to_the_next(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"a")
    first = Digests(tmp_path / "cache/digests.json").of(tmp_path / "a.mp4")
    monkeypatch.setattr("eadbench.samples.sources.sha256_of", lambda path: pytest.fail("hashed again"))
    assert Digests(tmp_path / "cache/digests.json").of(tmp_path / "a.mp4") == first
    (tmp_path / "cache/digests.json").write_text("{half")
    monkeypatch.setattr("eadbench.samples.sources.sha256_of", lambda path: "anew")
    assert Digests(tmp_path / "cache/digests.json").of(tmp_path / "a.mp4") == "anew"


def test_asking_needs_none_of_the_large_libraries():
    code = "import sys, eadbench.samples.sources; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "eadbench.samples.sources" in done.stdout, done.stderr
    assert not set(done.stdout.split()) & {"torch", "numpy", "pandas", "pyarrow", "cv2", "av"}
