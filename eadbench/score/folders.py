"""Folders of videos, paired by name."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path, PurePosixPath

from eadbench.core.errors import EadbenchError
from eadbench.media.files import AUDIO, VIDEO, media_files
from eadbench.score.labels import Labels, remark
from eadbench.scores.task import ANIMATES, ScoreTask

REAL = "real"


@dataclass(frozen=True)
class Folders:
    """What to score: real videos, folders of generated ones, a folder of driving audio
    (else the videos' own), and those folders whose method animates one image.
    """

    real: Path
    fakes: tuple[Path, ...]
    audio: Path | None = None
    image_driven: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """Tasks by method, the real videos' own among them as ``real``, and remarks about
    the folders.
    """

    tasks: dict[str, list[ScoreTask]]
    corpus: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class NamedFiles:
    """The media of a folder by name without suffix: files, why others cannot be used,
    and a note about what was skipped.
    """

    files: dict[str, Path]
    problems: dict[str, str]
    note: str = ""


def files_by_name(folder: Path, suffixes: Collection[str]) -> NamedFiles:
    """Media files of a folder and its subfolders by name without suffix, see
    :func:`eadbench.media.files.walk`.

    Raises:
        EadbenchError: If there is no such folder, no such file in it, or two with the
            same name.
    """
    listed = media_files(folder, suffixes)
    files = listed.by_stem()
    if not files:
        reasons = [f"{path}: {reason}" for path, reason in listed.problems.items()]
        content = "; ".join(filter(None, [listed.note(), *reasons]))
        raise EadbenchError(
            "the folder holds no media" + (f": {content}" if content else ""),
            folder,
            f"read are {', '.join(sorted(suffixes))}",
        )
    problems = {}
    for path, reason in listed.problems.items():
        name = PurePosixPath(path).with_suffix("").as_posix()
        if name not in files:
            problems[name] = reason
    return NamedFiles(files, problems, listed.note())


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
    fakes = [fake.resolve() for fake in folders.fakes]
    image_driven = [path.resolve() for path in folders.image_driven]
    for path in folders.image_driven:
        if path.resolve() not in fakes:
            raise EadbenchError(
                "--image-driven names a folder that is not scored",
                path,
                f"it is one of --fake: {', '.join(map(str, folders.fakes))}",
            )
    real = files_by_name(folders.real, VIDEO)
    method_folders = folders_by_method(folders)
    generated = {method: files_by_name(folder, VIDEO) for method, folder in method_folders.items()}
    audio = files_by_name(folders.audio, AUDIO) if folders.audio else NamedFiles({}, {})
    videos: set[str] = set()
    for media in (real, *generated.values()):
        videos.update(media.files, media.problems)
    remarks = labels.check(videos)
    if folders.audio:
        remarks += _audio_remarks(folders.audio, audio, videos)
    remarks += [media.note for media in (real, *generated.values(), audio) if media.note]
    tasks = {}
    for method, videos_of_method in {REAL: real, **generated}.items():
        names = sorted({*real.files, *real.problems, *videos_of_method.files, *videos_of_method.problems})
        tasks[method] = [
            _task(name, real, videos_of_method, labels, _audio_file(folders.audio, audio, name), crop)
            for name in names
        ]
        if method != REAL and method_folders[method].resolve() in image_driven:
            tasks[method] = [replace(task, unaligned=ANIMATES) for task in tasks[method]]
        if not real.files.keys() & videos_of_method.files.keys():
            example = f"{min(videos_of_method.files)!r} and {min(real.files)!r}, for example"
            raise EadbenchError(
                f"no video of the folder has the name of a real one: {example}",
                method_folders[method],
                "name the files alike",
            )
    return Pairs(tasks, _as_given(folders.real).name or REAL, tuple(remarks))


def _audio_remarks(folder: Path, audio: NamedFiles, videos: set[str]) -> list[str]:
    """Which videos have no file in the folder of audio, and which files no video."""
    without, unused = sorted(videos - set(audio.files)), sorted(set(audio.files) - videos)
    remarks = []
    if without:
        remarks.append(remark(without, len(videos), f"videos have no audio in {folder}"))
    if unused:
        remarks.append(remark(unused, len(audio.files), f"files in {folder} match no video"))
    return remarks


def _task(
    name: str, real: NamedFiles, generated: NamedFiles, labels: Labels, audio: Path | None, crop: bool
) -> ScoreTask:
    label = labels.of(name)
    task = ScoreTask(
        name,
        speaker=label.speaker,
        emotion=label.emotion,
        fake=generated.files.get(name),
        real=real.files.get(name),
        audio=audio,
        crop=crop,
    )
    if name not in generated.files:
        return replace(task, problem=generated.problems.get(name, "the method made no video of this name"))
    if name not in real.files:
        reason = real.problems.get(name)
        what = f"the real video: {reason}" if reason else "no real video of this name"
        return replace(task, problem=f"unpaired: {what}")
    return task


def _audio_file(folder: Path | None, audio: NamedFiles, name: str) -> Path | None:
    """The driving audio of a video; ``None`` for the video's own. Where the file is
    absent, the metrics that need it report so.
    """
    return None if folder is None else audio.files.get(name, folder / f"{name}.wav")


def folders_by_method(folders: Folders) -> dict[str, Path]:
    """The folders of generated videos by the name of their method: the folder's own, as
    given (a link is not followed); of several alike, as in ``full/self/videos`` and
    ``wav2lip/self/videos``, with the folders above in which they differ:
    ``full_videos``.

    Raises:
        EadbenchError: If a folder is given twice, two have the same name, or one has
            none.
    """
    by_method: dict[str, Path] = {}
    by_place: dict[Path, Path] = {}
    paths = [_as_given(fake) for fake in folders.fakes]
    for fake, path in zip(folders.fakes, paths, strict=True):
        twin = by_place.setdefault(fake.resolve(), fake)
        if twin is not fake:
            raise EadbenchError("the folder is given twice", f"{twin} and {fake}", "leave one out")
        method = _name_among([other for other in paths if other.name == path.name], path)
        if method in ("", REAL):
            raise EadbenchError(f"{method!r} cannot be the name of a method", fake, "rename the folder")
        if method in by_method:
            raise EadbenchError(
                f"two folders are both called {method!r}",
                f"{by_method[method]} and {fake}",
                "rename one of them",
            )
        by_method[method] = fake
    return by_method


def _name_among(alike: list[Path], path: Path) -> str:
    """The name of one of several folders that end alike."""
    # parts above, from the nearest on; the file system's root is no name
    above = {other: other.parts[-2:0:-1] for other in alike}
    if len(above) == 1:
        levels = [0] if path.name == REAL else []
    else:
        depth = next(d for d in count(1) if len({parts[:d] for parts in above.values()}) == len(above))
        levels = [
            k for k in reversed(range(depth)) if len({parts[k : k + 1] for parts in above.values()}) > 1
        ]
    return "_".join([*(part for k in levels for part in above[path][k : k + 1]), path.name])


def _as_given(folder: Path) -> Path:
    """Absolute; links keep their names, unless ``..`` leads out of one."""
    return folder.resolve() if ".." in folder.parts else folder.absolute()
