"""A local conda channel for tests, made of what is installed here, so that the
environments of ``envs/`` can be solved and run without conda-forge.

``python`` and ``pip`` are packed whole. Every other package holds links to the files of
an installed distribution, under the name that conda-forge gives it, with its
requirements as far as they are installed. Older releases that some environments need
(``OLDER``) are fetched with pip. So an environment holds exactly what its file lists
and what that needs; nothing else of this machine can be imported in it. Packages of an
environment's pip part become wheels.
"""

import csv
import hashlib
import importlib.metadata as md
import io
import json
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

# PyPI name -> conda-forge name, where they differ.
CONDA = {
    "torch": "pytorch",
    "opencv-python-headless": "opencv",
    "soundfile": "python-soundfile",
    "matplotlib": "matplotlib-base",
    "duckdb": "python-duckdb",
    "huggingface-hub": "huggingface_hub",
}
# mediapipe's wheel asks for numpy 1, and these are the newest that go with it.
OLDER = ["numpy<2", "pyarrow<25", "pandas<3.1", "opencv-python-headless<4.12"]
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
NOT_PACKED = [
    "test",
    "idlelib",
    "turtledemo",
    "site-packages",
    "__pycache__",
    "config-3.*",
    "ensurepip",
    "tkinter",
    "lib2to3",
]


def conda_name(name: str) -> str:
    """Name of a distribution on conda-forge."""
    name = canonicalize_name(name)
    return CONDA.get(name, name)


def installed() -> dict[str, md.Distribution]:
    """Distributions here, by conda name."""
    return {conda_name(dist.metadata["Name"]): dist for dist in md.distributions() if dist.files}


def specs_of(env_file: Path) -> tuple[dict[str, SpecifierSet], list[Requirement]]:
    """Conda part (name to bounds) and pip part of an environment file."""
    env = yaml.safe_load(env_file.read_text())
    split = [d.split(None, 1) for d in env["dependencies"] if isinstance(d, str)]
    conda = {name: SpecifierSet(bounds[0] if bounds else "") for name, *bounds in split}
    return conda, [Requirement(spec) for d in env["dependencies"] if isinstance(d, dict) for spec in d["pip"]]


def requirements(
    dist: md.Distribution, known: dict[str, md.Distribution], extras: tuple[str, ...] = ("",)
) -> dict[str, SpecifierSet]:
    """What a distribution needs and is installed: conda name to bounds. Extras of a
    requirement are resolved here, since conda has none.
    """
    found: dict[str, SpecifierSet] = {}
    for needed in map(Requirement, dist.requires or []):
        name = conda_name(needed.name)
        if name in known and (
            not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
        ):
            found[name] = found.get(name, SpecifierSet()) & needed.specifier
            if needed.extras:
                found |= requirements(known[name], known, tuple(needed.extras))
    return found


def make_channel(folder: Path, env_files: list[Path]) -> None:
    """Write the channel (``folder/channel``) and the wheels (``folder/wheels``) that
    the environments need.

    Raises:
        subprocess.CalledProcessError: If a version that is not installed cannot be
            fetched.
    """
    known = installed()
    wanted, wheels = set(), set()
    for path in env_files:
        conda, pip = specs_of(path)
        wanted |= set(conda)
        names = {conda_name(r.name) for r in pip}
        wheels |= names | (closure(names, known) - closure(set(conda), known))
    for dist in fetch(folder / "fetched"):
        link_package(folder, dist, known)
    for name in closure(wanted, known):
        link_package(folder, known[name], known)
    for name in wheels:
        write_wheel(folder / "wheels", known[name], known)
    python_package(folder)
    pip_package(folder)
    write_repodata(folder / "channel")


def closure(names: set[str], known: dict[str, md.Distribution]) -> set[str]:
    """Names with all that they need."""
    found: set[str] = set()
    left = [name for name in names if name in known]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += requirements(known[name], known)
    return found


def fetch(folder: Path) -> list[md.Distribution]:
    """The newest releases within the bounds of ``OLDER``, unpacked from their wheels."""
    target = ["--no-deps", "--only-binary=:all:", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *target, *OLDER], check=True, timeout=300)
    return list(md.distributions(path=[str(folder)]))


def link_package(folder: Path, dist: md.Distribution, known: dict[str, md.Distribution]) -> None:
    """Pack links to a distribution's files."""
    name = conda_name(dist.metadata["Name"])
    root = folder / "build" / f"{name}-{dist.version}"
    for file in dist.files or []:
        if (
            ".." in file.parts
            or "__pycache__" in file.parts
            or not (source := Path(dist.locate_file(file)).resolve()).is_file()
        ):
            continue
        link = root / SITE / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
    depends = [
        "python",
        *(
            f"{other} {bounds}".strip()
            for other, bounds in sorted(requirements(dist, known).items())
            if other != name
        ),
    ]
    version = dist.version.split("+")[0]
    write_package(
        folder,
        "linux-64",
        {"name": name, "version": version, "build": "0", "build_number": 0, "depends": depends},
        root,
    )


def write_wheel(folder: Path, dist: md.Distribution, known: dict[str, md.Distribution]) -> None:
    """A wheel of an installed distribution, whose metadata ask only for what is here."""
    folder.mkdir(parents=True, exist_ok=True)
    name, record = canonicalize_name(dist.metadata["Name"]).replace("-", "_"), io.StringIO()
    info = f"{name}-{dist.version}.dist-info"
    with zipfile.ZipFile(
        folder / f"{name}-{dist.version}-py3-none-any.whl", "w", zipfile.ZIP_STORED
    ) as wheel:
        for file in dist.files or []:
            source = Path(dist.locate_file(file))
            if (
                ".." in file.parts
                or "__pycache__" in file.parts
                or not source.is_file()
                or ".dist-info" in file.parts[0]
            ):
                continue
            wheel.write(source, str(file))
            csv.writer(record).writerow([str(file), "", ""])
        needs = [
            line
            for line in dist.requires or []
            if "extra ==" not in line and conda_name(Requirement(line).name) in known
        ]
        head = f"Metadata-Version: 2.1\nName: {dist.metadata['Name']}\nVersion: {dist.version}\n"
        wheel.writestr(f"{info}/METADATA", head + "".join(f"Requires-Dist: {line}\n" for line in needs))
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        names = [f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
        wheel.writestr(f"{info}/RECORD", record.getvalue() + "".join(f"{n},,\n" for n in names))


def python_package(folder: Path) -> None:
    """This interpreter with its library, without tests and graphical parts."""
    root, short = folder / "build/python", f"python3.{sys.version_info.minor}"
    shutil.copytree(
        sysconfig.get_path("stdlib"),
        root / "lib" / short,
        symlinks=True,
        ignore=shutil.ignore_patterns(*NOT_PACKED),
    )
    (root / SITE).mkdir()
    (root / SITE / "README.txt").write_text("site packages\n")
    (root / "bin").mkdir()
    # finds a shared libpython where it was built, on this machine only
    shutil.copy2(Path(sys.executable).resolve(), root / "bin" / short)
    for alias in ("python", "python3"):
        (root / "bin" / alias).symlink_to(short)
    index = {
        "name": "python",
        "version": platform.python_version(),
        "build": "0",
        "build_number": 0,
        "depends": [],
    }
    write_package(folder, "linux-64", index, root)


def pip_package(folder: Path) -> None:
    """pip, from the wheel that comes with Python."""
    import ensurepip

    wheel = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    root = folder / "build/pip"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(root / SITE)
    index = {
        "name": "pip",
        "version": wheel.name.split("-")[1],
        "build": "0",
        "build_number": 0,
        "depends": ["python"],
    }
    write_package(folder, "linux-64", index, root)


def write_package(folder: Path, subdir: str, index: dict, root: Path) -> None:
    """Pack a tree with the metadata that conda reads (``info/``) as
    ``name-version-build.tar.bz2``.
    """
    info, paths = root / "info", []
    for path in sorted(root.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        entry = {
            "_path": path.relative_to(root).as_posix(),
            "path_type": "softlink" if path.is_symlink() else "hardlink",
        }
        if not path.is_symlink():
            entry |= {"sha256": digest(path, "sha256"), "size_in_bytes": path.stat().st_size}
        paths.append(entry)
    info.mkdir()
    (info / "files").write_text("".join(entry["_path"] + "\n" for entry in paths))
    (info / "paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}))
    (info / "index.json").write_text(json.dumps(index | {"subdir": subdir, "timestamp": 0}))
    out = folder / "channel" / subdir / f"{index['name']}-{index['version']}-{index['build']}.tar.bz2"
    out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out, "w:bz2", compresslevel=1) as tar:
        for name in ["info", *sorted(p.name for p in root.iterdir() if p.name != "info")]:
            tar.add(root / name, arcname=name)


def write_repodata(channel: Path) -> None:
    """The index of the channel."""
    for subdir in ("linux-64", "noarch"):
        (channel / subdir).mkdir(parents=True, exist_ok=True)
        packages = {}
        for path in sorted((channel / subdir).glob("*.tar.bz2")):
            with tarfile.open(path) as tar:
                index = json.load(tar.extractfile("info/index.json"))
            packages[path.name] = index | {
                "md5": digest(path, "md5"),
                "sha256": digest(path, "sha256"),
                "size": path.stat().st_size,
            }
        content = {
            "info": {"subdir": subdir},
            "packages": packages,
            "packages.conda": {},
            "removed": [],
            "repodata_version": 1,
        }
        (channel / subdir / "repodata.json").write_text(json.dumps(content))


def digest(path: Path, kind: str) -> str:
    """Hash of a file."""
    return hashlib.new(kind, path.read_bytes()).hexdigest()
