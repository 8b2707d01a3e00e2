"""Folders of videos, paired by name."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from eadbench.core.errors import EadbenchError
from eadbench.media.files import AUDIO, VIDEO, media_files
from eadbench.score.labels import Labels, some
from eadbench.scores.task import ANIMATES, ScoreTask

REAL = "real"


@dataclass(frozen=True)
class Folders:
    """What to score: real videos, folders of generated ones, a folder of sound (else
    the videos' own), and those folders whose method animates one image.
    """

    real: Path
    fakes: tuple[Path, ...]
    audio: Path | None = None
    image_driven: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """Tasks by method, the real videos' own among them as ``real``, and what to tell
    about the folders.
    """

    tasks: dict[str, list[ScoreTask]]
    corpus: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """The media of a folder by name without suffix: files, and why others cannot be
    used.
    """

    files: dict[str, Path]
    problems: dict[str, str]
    note: str = ""


def files_by_name(folder: Path, suffixes: Collection[str]) -> Named:
    """Media files of a folder and its subfolders by name without suffix, see
    :func:`eadbench.media.files.walk`.

    Raises:
        EadbenchError: If there is no such folder, no such file in it, or two with the
            same name.
    """
    listed = media_files(folder, suffixes)
    files = listed.by_stem()
    if not files:
        found = "; ".join(
            filter(None, [listed.note(), *(f"{name}: {why}" for name, why in listed.problems.items())])
        )
        raise EadbenchError(
            "the folder holds no media" + (f": {found}" if found else ""),
            folder,
            f"read are {', '.join(sorted(suffixes))}",
        )
    problems = {PurePosixPath(name).with_suffix("").as_posix(): why for name, why in listed.problems.items()}
    return Named(files, {name: why for name, why in problems.items() if name not in files}, listed.note())


def pairs_of(folders: Folders, labels: Labels, crop: bool = False) -> Pairs:
    """One task per real video and method, and one per generated video that has no real
    one.

    Args:
        folders: What to score.
        labels: Emotions and speakers.
        crop: Whether each video is cut to the face of the real one first.

    Raises:
        EadbenchError: If a folder is absent, empty or given twice, no label is of a
            video, or one that is said to be image-driven is not scored.
    """
    free = [path.resolve() for path in folders.image_driven]
    for path in folders.image_driven:
        if path.resolve() not in [fake.resolve() for fake in folders.fakes]:
            raise EadbenchError(
                "--image-driven names a folder that is not scored",
                path,
                f"it is one of --fake: {', '.join(map(str, folders.fakes))}",
            )
    real = files_by_name(folders.real, VIDEO)
    made = {name: files_by_name(folder, VIDEO) for name, folder in names_of(folders).items()}
    listed = files_by_name(folders.audio, AUDIO) if folders.audio else Named({}, {})
    sound = listed.files
    videos = set(real.files).union(
        real.problems, *(one.files for one in made.values()), *(one.problems for one in made.values())
    )
    remarks = labels.check(videos)
    if folders.audio:
        silent, unused = sorted(videos - set(sound)), sorted(set(sound) - videos)
        if silent:
            remarks.append(
                f"{len(silent)} of {len(videos)} videos have no sound in {folders.audio}: {some(silent)}"
            )
        if unused:
            remarks.append(
                f"{len(unused)} of {len(sound)} files in {folders.audio} match no video: {some(unused)}"
            )
    remarks += [one.note for one in (real, *made.values(), listed) if one.note]
    tasks = {}
    for method, mine in {REAL: real, **made}.items():
        names = sorted({*real.files, *real.problems, *mine.files, *mine.problems})
        found = [_task(name, real, mine, labels, _sound(folders.audio, sound, name), crop) for name in names]
        if method != REAL and names_of(folders)[method].resolve() in free:
            found = [replace(task, unaligned=ANIMATES) for task in found]
        tasks[method] = found
        if not real.files.keys() & mine.files.keys():
            example = f"{min(mine.files)!r} and {min(real.files)!r}, for example"
            raise EadbenchError(
                f"no video of the folder has the name of a real one: {example}",
                names_of(folders)[method],
                "name the files alike",
            )
    return Pairs(tasks, folders.real.resolve().name or REAL, tuple(remarks))


def _task(name: str, real: Named, made: Named, labels: Labels, sound: Path | None, crop: bool) -> ScoreTask:
    label = labels.of(name)
    task = ScoreTask(
        name,
        speaker=label.speaker,
        emotion=label.emotion,
        fake=made.files.get(name),
        real=real.files.get(name),
        audio=sound,
        crop=crop,
    )
    if name not in made.files:
        return replace(task, problem=made.problems.get(name, "the method made no video of this name"))
    if name not in real.files:
        why = real.problems.get(name)
        return replace(
            task,
            problem=f"unpaired: the real video: {why}" if why else "unpaired: no real video of this name",
        )
    return task


def _sound(folder: Path | None, sound: dict[str, Path], name: str) -> Path | None:
    """The driving sound; one that is not there is the reason of the metrics that need
    it.
    """
    return None if folder is None else sound.get(name, folder / f"{name}.wav")


def names_of(folders: Folders) -> dict[str, Path]:
    """A name for each folder of generated videos: its own, with its parent's where that
    is not unique.

    Raises:
        EadbenchError: If a folder is given twice, or two have the same name.
    """
    names: dict[str, Path] = {}
    plain = [fake.resolve().name for fake in folders.fakes]
    for fake in folders.fakes:
        path = fake.resolve()
        name = (
            path.name
            if path.name != REAL and plain.count(path.name) == 1
            else f"{path.parent.name}_{path.name}"
        )
        if name in names:
            raise EadbenchError(
                "the same folder, or two of the same name, given twice", fake, "rename one of them"
            )
        names[name] = fake
    return names
