"""MEAD: per actor, ``video/{view}/{emotion}/level_{n}/{nnn}.mp4`` and
``audio/{emotion}/level_{n}/{nnn}.m4a``, as folders or in tars.

The numbers have gaps and the same number is another sentence for another actor, so what
is there is listed, never assumed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from eadbench.core.emotions import common_name
from eadbench.core.errors import EadbenchError
from eadbench.corpora.archives import members
from eadbench.corpora.config import MeadCorpus
from eadbench.corpora.names import safe_id
from eadbench.corpora.origin import FetchedFile, Origin
from eadbench.media.files import walk

ACTOR = re.compile(r"[MW]\d{3}")
VIDEO = re.compile(
    r"video/(?P<view>[a-z]+(?:_\d+)?)/(?P<emotion>[a-z]+)/level_(?P<level>\d)/(?P<number>\d+)\.(?:mp4|mov|avi|mkv)"
)
AUDIO = re.compile(r"audio/(?P<emotion>[a-z]+)/level_(?P<level>\d)/(?P<number>\d+)\.(?:m4a|wav|mp3|aac)")
LEVELS = 3


@dataclass(frozen=True)
class MediaPlace:
    """A file, or a member of a tar; ``refused`` says why a member must not be read."""

    path: Path
    member: str | None = None
    refused: str = ""


def fetch(origin: Origin, raw: Path, config: MeadCorpus) -> tuple[Path, list[FetchedFile]]:
    """MEAD cannot be downloaded; one filmed by the studio is used in place."""
    actors = sorted(path for path in origin.folder.rglob("*") if path.is_dir() and ACTOR.fullmatch(path.name))
    if not actors:
        raise EadbenchError(
            "no actor's folder (M003, W009, ...)", origin.folder, "run `synthetic film` again"
        )
    return actors[0].parent, []


def recordings(root: Path, config: MeadCorpus) -> list[dict[str, Any]]:
    """Rows of the index, without what probing adds: one per video of the chosen views,
    and one per audio file that has no video at all.

    Raises:
        EadbenchError: If no actor's folder is there.
    """
    folders = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    actors = sorted(path for path in folders if ACTOR.fullmatch(path.name))
    if not actors:
        raise EadbenchError(
            "no actor's folder (M003, W009, ...)", root, "set `root:` to the folder that holds them"
        )
    return [row for actor in actors for row in _rows_of_actor(actor, config)]


def _rows_of_actor(actor: Path, config: MeadCorpus) -> Iterator[dict[str, Any]]:
    audio_places = {}
    for name, place in _listing(actor, "audio"):
        if match := AUDIO.fullmatch(name):
            audio_places[match["emotion"], match["level"], match["number"]] = place
    keys_with_video = set()
    for name, place in _listing(actor, "video"):
        match = VIDEO.fullmatch(name)
        if match is None:
            problem = f"name: {name!r} does not follow MEAD's layout"
            yield {
                "recording_id": safe_id(f"{actor.name}_{name}"),
                "speaker": actor.name,
                "source": place.path,
                "member": place.member,
                "problem": f"refused: {place.refused}" if place.refused else problem,
            }
            continue
        key = match["emotion"], match["level"], match["number"]
        keys_with_video.add(key)
        if match["view"] in config.views:
            yield _row(actor.name, match, place, audio_places.get(key), config)
    for key in sorted(set(audio_places) - keys_with_video):
        emotion, level, number = key
        yield {
            "recording_id": f"{actor.name}_none_{emotion}_{level}_{number}",
            "speaker": actor.name,
            "source": None,
            "problem": "no video: audio only",
        }


def _row(
    actor: str, match: re.Match, place: MediaPlace, audio: MediaPlace | None, config: MeadCorpus
) -> dict[str, Any]:
    emotion, level, number = match["emotion"], int(match["level"]), match["number"]
    row: dict[str, Any] = {
        "recording_id": f"{actor}_{match['view']}_{emotion}_{level}_{number}",
        "speaker": actor,
        "sex": "male" if actor.startswith("M") else "female",
        "emotion_raw": emotion,
        "level": level,
        "intensity": level / LEVELS,
        "view": match["view"],
        "sentence": f"{emotion}/{number}",
        "source": place.path,
        "member": place.member,
        "max_gap": config.max_length_gap,
    }
    if audio is not None:
        row |= {"audio_source": audio.path, "audio_member": audio.member}
    places = [place] if audio is None else [place, audio]
    problems = [f"refused: {file.refused}" for file in places if file.refused]
    try:
        row["emotion"] = common_name(emotion)
    except KeyError as error:
        problems.append(f"label: {error.args[0]}")
    if problems:
        row["problem"] = "; ".join(problems)
    return row


def _listing(actor: Path, part: str) -> Iterator[tuple[str, MediaPlace]]:
    """Names such as ``video/front/happy/level_1/001.mp4`` with their places: from the
    folder, else from the tar.
    """
    folder, tar = actor / part, actor / f"{part}.tar"
    if folder.is_dir():
        for file in walk(folder):
            yield f"{part}/{file.name}", MediaPlace(file.path, refused=file.problem)
    elif tar.is_file():
        for name, member in sorted(members(tar).items()):
            path = name.removeprefix("./")
            if not PurePosixPath(path).name.startswith("."):
                yield path, MediaPlace(tar, name, member.refused)
