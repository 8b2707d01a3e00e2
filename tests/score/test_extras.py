"""Scoring without the training stack: what `pip install eadbench[score]` brings is all
that it imports.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from scores.conftest import astronaut
from workflow.running import ROOT
from workflow.test_envs import imports_of

from eadbench.media.video import write_video

STACK = (
    "accelerate",
    "diffusers",
    "insightface",
    "openai",
    "sklearn",
    "snakemake",
    "transformers",
    "whisper",
    "yt_dlp",
)
KINDS = (
    "emotion",
    "face_id",
    "hsemotion",
    "i3d",
    "inception",
    "lpips",
    "stable_syncnet",
    "syncnet_evaluator",
    "videomae_v2",
    "vjepa",
)
PACKAGES = {
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
    "PIL": "pillow",
    "pytorch_fid": "pytorch-fid",
    "python_speech_features": "python-speech-features",
}
# snapshots, a table for other tools, training, another detector
ELSEWHERE = {"huggingface_hub", "polars", "sklearn", "insightface"}
REFUSE = """
import sys
from importlib.machinery import ModuleSpec
class Refuse:  # looking for a package is allowed (torch does, of many), importing it is not
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name.partition(".")[0] in {stack!r} else None
    def create_module(self, spec):
        raise ModuleNotFoundError(f"{{spec.name}} is not to be imported", name=spec.name)
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Refuse())
"""


def extras() -> dict[str, set[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        packages = {
            re.split(r"[><=\[; ]", requirement)[0].lower().replace("_", "-") for requirement in requirements
        }
        nested_extras = {
            extra
            for requirement in requirements
            if requirement.startswith("eadbench[")
            for extra in requirement[9:-1].split(",")
        }
        return (packages - {"eadbench"}).union(
            *(names(project["optional-dependencies"][extra]) for extra in nested_extras)
        )

    return {"": names(project["dependencies"])} | {
        extra: names(listed) for extra, listed in project["optional-dependencies"].items()
    }


def test_the_extra_holds_all_that_scoring_imports():
    seen: set[str] = set()
    modules = [
        "eadbench.cli",
        "eadbench.score.cli",
        "eadbench.scores.cli",
        "eadbench.tables.cli",
        *(f"eadbench.zoo.kinds.{kind}" for kind in KINDS),
    ]
    needed = (
        set().union(*(imports_of(module, seen) for module in modules))
        - set(sys.stdlib_module_names)
        - ELSEWHERE
    )
    needed = {PACKAGES.get(name, name) for name in needed}
    packages = extras()
    assert "torch" in needed and "duckdb" in needed, "the walk found nothing"
    assert needed <= packages[""] | packages["score"], needed - packages[""] - packages["score"]


def test_the_training_stack_is_in_no_small_extra_and_everything_is_in_all():
    packages = extras()
    heavy = {
        "accelerate",
        "diffusers",
        "openai-whisper",
        "snakemake",
        "openai",
        "insightface",
        "transformers",
        "yt-dlp",
    }
    assert not heavy & (packages[""] | packages["score"]) and heavy <= packages["all"]
    assert (
        packages["score"] <= packages["train"] <= packages["workflow"] <= packages["all"]
        and {"espeakng-loader"} <= packages["all"]
    )


def test_the_tested_versions_cover_every_extra():
    lock = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "requirements/lock.txt").read_text().splitlines()
        if "==" in line
    }
    required = set().union(*extras().values()) - {"pyiqa"}  # its licence keeps it out of what is installed
    assert required <= lock, required - lock


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pair")
    frames, audio = astronaut(20, 64)
    for folder in ("real", "mine"):
        write_video(root / folder / "a.mp4", frames, audio=audio)
        write_video(root / folder / "b.mp4", frames[::-1], audio=audio)
    return root


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


def test_scoring_runs_where_the_training_stack_cannot_be_imported(media, zoo, tmp_path):
    arguments = [
        "eadbench",
        "score",
        "--real",
        str(media / "real"),
        "--fake",
        str(media / "mine"),
        "--out",
        str(tmp_path / "s.parquet"),
    ]
    arguments += ["--evaluators", str(zoo["lpips"].parent), "--page", str(tmp_path / "page")]
    code = (
        REFUSE.format(stack=STACK)
        + f"sys.argv = {arguments!r}\nfrom eadbench.cli import main\ntry:\n    main()\nfinally:\n"
    )
    code += f"    print('LOADED', [name for name in {STACK!r} if name in sys.modules])\n"
    done = run(code)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (
        "LOADED []" in done.stdout
        and "SSIM" in done.stdout
        and "CSIM" in done.stdout
        and (tmp_path / "page" / "index.html").exists()
    )


def test_importing_the_scores_loads_no_training_stack():
    code = "import sys, eadbench.scores.measure, eadbench.scores.summarise, eadbench.score.run\n"
    done = run(code + f"print('LOADED', [name for name in {STACK!r} if name in sys.modules])")
    assert done.returncode == 0 and "LOADED []" in done.stdout, done.stderr


def test_a_package_that_is_not_installed_is_one_line_with_the_command(tmp_path):
    (tmp_path / "a.mp4").touch()
    folders = ["--real", str(tmp_path), "--fake", str(tmp_path)]
    arguments = ["eadbench", "score", *folders, "--metrics", "ssim", "--out", str(tmp_path / "c.parquet")]
    code = REFUSE.format(stack=("pandas",)) + f"sys.argv = {arguments!r}\n"
    done = run(code + "from eadbench.cli import main\nmain()")
    assert (
        done.returncode == 1
        and "pip install 'eadbench[score]'" in done.stderr
        and "Traceback" not in done.stderr
    )
