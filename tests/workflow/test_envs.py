"""Conda environments: well formed, and complete for the code that runs in them."""

import ast
from pathlib import Path

import pytest
import yaml
from workflow.running import ROOT

# Stages whose code runs in an environment.
FAMILIES = {
    "media": ["eadbench.corpora.cli", "eadbench.clips.cli"],
    "captions": ["eadbench.captions.cli", "eadbench.features.text"],
    "training": [
        "eadbench.zoo.cli",
        "eadbench.features.cli",
        "eadbench.training.cli",
        "eadbench.samples.cli",
    ],
    "scoring": ["eadbench.clips.cli", "eadbench.scores.cli"],
    "tables": ["eadbench.tables.cli"],
}
# Import name -> package name, where they differ.
PACKAGES = {
    "cv2": "opencv",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "soundfile": "python-soundfile",
    "torch": "pytorch",
    "whisper": "openai-whisper",
    "pytorch_fid": "pytorch-fid",
    "matplotlib": "matplotlib-base",
    "yt_dlp": "yt-dlp",
    "duckdb": "python-duckdb",
    "espeakng_loader": "espeakng-loader",
    "PIL": "pillow",
}
# `core.seeds` and `core.device` import torch only when a tensor is asked for, and
# `clips check`, which loads weights, runs in `scoring`.
WITHOUT_TORCH = {"media", "tables"}
# Only reached when the config asks for it; then its message says what to install.
OPTIONAL = {"bitsandbytes", "insightface", "onnxruntime", "polars", "snakemake"}


def packages_of(path: Path) -> set[str]:
    env = yaml.safe_load(path.read_text())
    names = [d for d in env["dependencies"] if isinstance(d, str)]
    names += [p for d in env["dependencies"] if isinstance(d, dict) for p in d["pip"]]
    return {
        name.split(" ")[0].split("=")[0].split(">")[0].split("<")[0].split("[")[0].strip() for name in names
    }


def module_file(name: str) -> Path | None:
    base = ROOT.joinpath(*name.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()), None)


def imports_of(module: str, seen: set[str]) -> set[str]:
    """Top-level packages that a module and those of ours that it imports need, wherever
    the import stands; imports for types alone do not count.
    """
    if module in seen or (path := module_file(module)) is None:
        return set()
    seen.add(module)
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in node.body
    }
    for node in ast.walk(tree):
        names = []
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] == "eadbench":
                found |= imports_of(name, seen)
            else:
                found.add(name.split(".")[0])
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.stem)
def test_form(path):
    env = yaml.safe_load(path.read_text())
    assert env["name"] == f"eadbench-{path.stem}"
    assert env["channels"] == ["conda-forge", "nodefaults"]
    text = path.read_text()
    assert "://" not in "".join(line for line in text.splitlines() if not line.lstrip().startswith("#")), (
        "no addresses in an environment"
    )
    for item in env["dependencies"]:
        if isinstance(item, str) and item != "pip":
            assert any(sign in item for sign in "<>="), f"{item} has no bound"
    for item in (spec for d in env["dependencies"] if isinstance(d, dict) for spec in d["pip"]):
        assert any(sign in item for sign in "<>="), f"{item} has no bound"


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_that_the_code_imports_is_missing(family):
    import sys

    needed = set().union(*(imports_of(module, set()) for module in FAMILIES[family]))
    third_party = {PACKAGES.get(name, name) for name in needed - set(sys.stdlib_module_names) - OPTIONAL}
    missing = (
        third_party
        - packages_of(ROOT / f"envs/{family}.yaml")
        - ({"pytorch", "safetensors"} if family in WITHOUT_TORCH else set())
    )
    assert not missing, f"envs/{family}.yaml lacks {sorted(missing)}"


def test_every_rule_names_an_environment_that_exists():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for line in path.read_text().splitlines():
            if "envs/" in line:
                assert (path.parent / line.strip().strip('"')).resolve().exists(), (
                    f"{path.name}: {line.strip()}"
                )
