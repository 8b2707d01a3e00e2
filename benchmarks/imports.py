"""What a job pays before its work begins: CPU seconds of its imports, of one build or
of two in turn.

    python benchmarks/imports.py [--build OTHER_CHECKOUT] [--repeat 5] [COMMAND...]

A command's imports are those of `eadbench.cli`, of its stage's `cli` and of the
command's own body, and the modules of the parts that the demo hands it (``PARTS``); a
third word names the kind of run or method.
Every time is user + system of a fresh process; the median counts. `torch` alone stands
beside it: other work on the machine slows both.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVALUATORS = ("inception", "i3d", "syncnet_evaluator", "emotion", "face_id", "lpips")
# Stage and verb -> modules that the demo's configuration brings in besides.
PARTS: dict[str, tuple[str, ...]] = {
    "clips merge": (),
    "captions merge": (),
    "features merge": (),
    "scores summarise": (),
    "tables build": (),
    "scores measure": tuple(f"eadbench.zoo.kinds.{kind}" for kind in EVALUATORS),
    "samples make wav2lip": ("eadbench.samples.methods.wav2lip", "eadbench.models.wav2lip"),
    "training run wav2lip": ("eadbench.training.wav2lip",),
    "training run eadnet": (
        "eadbench.training.eadnet",
        "eadbench.zoo.kinds.vae",
        "eadbench.zoo.kinds.lpips",
        "eadbench.zoo.kinds.videomae",
    ),
}
HEAVY = (
    "accelerate",
    "av",
    "cv2",
    "diffusers",
    "duckdb",
    "jinja2",
    "lpips",
    "matplotlib",
    "mediapipe",
    "onnxruntime",
    "pandas",
    "plotly",
    "pyarrow",
    "requests",
    "scipy",
    "scipy.linalg",
    "scipy.stats",
    "skimage",
    "sklearn",
    "snakemake",
    "torch",
    "torchvision",
    "transformers",
    "whisper",
)
CODE = """
import ast, importlib, inspect, json, sys, textwrap
import eadbench.cli
for command in {commands!r}:
    stage, verb = command.split()[:2]
    module = importlib.import_module(f"eadbench.{{stage}}.cli")
    [found] = [c.callback for c in module.app.registered_commands if c.name == verb]
    body = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(found))))
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), command, "exec"), {{}})
for name in {parts!r}:
    importlib.import_module(name)
print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""


def code_of(commands: list[str]) -> str:
    """A program that imports what the commands import and prints which heavy modules
    that loaded, as JSON.
    """
    return CODE.format(
        commands=commands,
        parts=[part for command in commands for part in PARTS.get(command, ())],
        heavy=HEAVY,
    )


def loaded(commands: list[str], build: Path = ROOT) -> list[str]:
    """Names of ``HEAVY`` that are there after the commands' imports."""
    return json.loads(_run(code_of(commands), build))


def _run(code: str, build: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(build), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=build.parent, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def seconds(code: str, build: Path) -> float:
    """CPU seconds of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(code, build)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a table: median CPU seconds per command and build, and what was loaded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "commands", nargs="*", metavar="COMMAND", help='e.g. "scores measure"; all if none is named'
    )
    parser.add_argument("--build", type=Path, help="another checkout to compare with")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    builds = [ROOT, *([args.build.resolve()] if args.build else [])]
    print("| imports of | " + " | ".join(["this build, s", "other build, s"][: len(builds)]) + " | loaded |")
    print("|---|" + "---|" * (len(builds) + 1))
    for name in ["torch alone", *(args.commands or PARTS)]:
        code = "import torch" if name == "torch alone" else code_of([name])
        times: list[list[float]] = [[] for _ in builds]
        for _ in range(args.repeat):
            for kept, build in zip(times, builds, strict=True):
                kept.append(seconds(code, build))
        heavy = "" if name == "torch alone" else " ".join(loaded([name]))
        print(
            f"| {name} | " + " | ".join(f"{statistics.median(kept):.2f}" for kept in times) + f" | {heavy} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
