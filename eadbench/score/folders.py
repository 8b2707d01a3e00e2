"""Folders of videos, paired by name."""

from dataclasses import dataclass, replace
from pathlib import Path

from eadbench.core.errors import EadbenchError
from eadbench.score.labels import Labels, plain_name, some
from eadbench.scores.clip import Task

VIDEO = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
SOUND = (".wav", ".m4a", ".mp3", ".flac", ".ogg", *VIDEO)
REAL = "real"


@dataclass(frozen=True)
class Folders:
    """What to score: real videos, folders of generated ones, a folder of sound (else the videos' own)."""

    real: Path
    fakes: tuple[Path, ...]
    audio: Path | None = None


@dataclass(frozen=True)
class Pairs:
    """Tasks by method, the real videos' own among them as ``real``, and what to tell about the folders."""

    tasks: dict[str, list[Task]]
    corpus: str
    remarks: tuple[str, ...]


def files_by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Media files of a folder and its subfolders by name without suffix.

    Raises:
        EadbenchError: If there is no such folder, no such file in it, or two with the same name.
    """
    if not folder.is_dir():
        raise EadbenchError("no such folder", folder)
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        name = plain_name(path.relative_to(folder).with_suffix("").as_posix())
        if name in found:
            raise EadbenchError(f"two files are named {name!r}", path, "leave one of them")
        found[name] = path
    if not found:
        raise EadbenchError("the folder holds no media", folder, f"expected files named {', '.join('*' + s for s in suffixes)}")
    return found


def pairs_of(folders: Folders, labels: Labels, crop: bool = False) -> Pairs:
    """One task per real video and method, and one per generated video that has no real one.

    Args:
        folders: What to score.
        labels: Emotions and speakers.
        crop: Whether each video is cut to the face of the real one first.

    Raises:
        EadbenchError: If a folder is absent, empty or given twice, or no label is of a video.
    """
    real = files_by_name(folders.real, VIDEO)
    made = {name: files_by_name(folder, VIDEO) for name, folder in names_of(folders).items()}
    sound = files_by_name(folders.audio, SOUND) if folders.audio else {}
    videos = set(real).union(*made.values())
    remarks = labels.check(videos)
    if folders.audio:
        silent, unused = sorted(videos - set(sound)), sorted(set(sound) - videos)
        if silent:
            remarks.append(f"{len(silent)} of {len(videos)} videos have no sound in {folders.audio}: {some(silent)}")
        if unused:
            remarks.append(f"{len(unused)} of {len(sound)} files in {folders.audio} match no video: {some(unused)}")
    tasks = {}
    for method, mine in {REAL: real, **made}.items():
        tasks[method] = [_task(name, real, mine, labels, _sound(folders.audio, sound, name), crop) for name in sorted(real.keys() | mine.keys())]
        if not real.keys() & mine.keys():
            example = f"{min(mine)!r} and {min(real)!r}, for example"
            raise EadbenchError(f"no video of the folder has the name of a real one: {example}", names_of(folders)[method], "name the files alike")
    return Pairs(tasks, folders.real.resolve().name or REAL, tuple(remarks))


def _task(name: str, real: dict[str, Path], made: dict[str, Path], labels: Labels, sound: Path | None, crop: bool) -> Task:
    label = labels.of(name)
    task = Task(name, speaker=label.speaker, emotion=label.emotion, fake=made.get(name), real=real.get(name), audio=sound, crop=crop)
    if name not in made:
        return replace(task, problem="the method made no video of this name")
    if name not in real:
        return replace(task, problem="unpaired: no real video of this name")
    return task


def _sound(folder: Path | None, sound: dict[str, Path], name: str) -> Path | None:
    """The driving sound; one that is not there is the reason of the metrics that need it."""
    return None if folder is None else sound.get(name, folder / f"{name}.wav")


def names_of(folders: Folders) -> dict[str, Path]:
    """A name for each folder of generated videos: its own, with its parent's where that is not unique.

    Raises:
        EadbenchError: If a folder is given twice, or two have the same name.
    """
    names: dict[str, Path] = {}
    plain = [fake.resolve().name for fake in folders.fakes]
    for fake in folders.fakes:
        path = fake.resolve()
        name = path.name if path.name != REAL and plain.count(path.name) == 1 else f"{path.parent.name}_{path.name}"
        if name in names:
            raise EadbenchError("the same folder, or two of the same name, given twice", fake, "rename one of them")
        names[name] = fake
    return names
