"""RAVDESS: zip archives per actor; the labels are in the file names, seven fields of two
digits.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from eadbench.core.download import download
from eadbench.core.emotions import common_name
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.tables import FAILED, KEPT
from eadbench.corpora.archives import members
from eadbench.corpora.config import RavdessCorpus
from eadbench.corpora.names import safe_id
from eadbench.corpora.origin import FetchedFile, Origin
from eadbench.media.files import walk

log = logging.getLogger(__name__)
RECORD_URL = "https://zenodo.org/api/records/{record}"
FILE_URL = "https://zenodo.org/records/{record}/files/{name}?download=1"
NAME = re.compile(
    r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)-(?P<statement>\d\d)-(?P<repetition>\d\d)-(?P<actor>\d\d)\.\w+"
)
FULL_AV = "01"  # 02 is the same video without audio, 03 audio only
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
# Normal and strong on MEAD's scale of three levels; neutral has one intensity, the
# weakest (ours: no equivalence is published).
INTENSITY = {"01": 2 / 3, "02": 1.0}
NEUTRAL_INTENSITY = 1 / 3


def fetch(origin: Origin, raw: Path, config: RavdessCorpus) -> tuple[Path, list[FetchedFile]]:
    """Fetch the record's list of files, then the archives that match ``archives``,
    several at a time, checked by size and md5.

    Raises:
        EadbenchError: If the record cannot be downloaded or has no such archive.
    """
    if origin.address:
        record_url = origin.url(origin.find("record.json"))
    else:
        record_url = RECORD_URL.format(record=config.record)
    record = raw / "record.json"
    record.unlink(missing_ok=True)
    download(record_url, record, tries=config.tries, direct=bool(origin.address))
    listed = _files_of(record)
    chosen_files = [
        file for file in listed if any(fnmatchcase(file["key"], pattern) for pattern in config.archives)
    ]
    if not chosen_files:
        raise EadbenchError(
            f"the record has no file like {config.archives}",
            record_url,
            f"it has {', '.join(file['key'] for file in listed[:5])} ...",
        )
    with ThreadPoolExecutor(config.parallel) as pool:
        return raw, list(pool.map(lambda file: _fetch_one(origin, raw, config, file), chosen_files))


def _files_of(record: Path) -> list[dict[str, Any]]:
    try:
        files = json.loads(record.read_text(encoding="utf-8"))["files"]
        return [
            {"key": str(file["key"]), "size": int(file["size"]), "checksum": str(file["checksum"])}
            for file in files
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise EadbenchError(
            f"the record's list of files is not as expected: {error!r}",
            record,
            "delete the file and fetch again",
        ) from error


def _fetch_one(origin: Origin, raw: Path, config: RavdessCorpus, file: dict[str, Any]) -> FetchedFile:
    name = safe_id(file["key"])  # a name from the network never becomes a path as it is
    home = FILE_URL.format(record=config.record, name=file["key"])
    try:
        url = origin.url(origin.find(file["key"])) if origin.address else home
        download(url, raw / name, file["size"], file["checksum"], config.tries, direct=bool(origin.address))
    except (EadbenchError, FileNotFoundError) as error:
        return FetchedFile(file["key"], home, FAILED, getattr(error, "what", str(error)))
    return FetchedFile(file["key"], home, KEPT, "", file["size"], file["checksum"])


def recordings(root: Path, config: RavdessCorpus) -> list[dict[str, Any]]:
    """Rows of the index, without what probing adds: every full audio-video recording in
    zips (read in place) or folders below ``root``.
    """
    rows, skipped = [], Counter()
    for path, member, refused in _listing(root):
        name = PurePosixPath(member or path.as_posix()).name
        match = NAME.fullmatch(name)
        if match and match["modality"] != FULL_AV:
            skipped["video only" if match["modality"] == "02" else "audio only"] += 1
            continue
        rows.append(_row(path, member, refused, name, match))
    for what, n in skipped.items():
        log.info("%d recordings skipped: %s", n, what)
    return rows


def _listing(root: Path) -> Iterator[tuple[Path, str | None, str]]:
    """Path, member of an archive and reason for not reading it, per video."""
    files = list(walk(root))
    for archive in [file.path for file in files if file.suffix == ".zip"]:
        try:
            for name, member in members(archive).items():
                is_hidden = PurePosixPath(name).name.startswith(".")
                if name.lower().endswith(".mp4") and not is_hidden:
                    yield archive, name, member.refused
        except Exception as error:
            yield archive, None, reason_of(error, archive)
    for file in files:
        if file.suffix == ".mp4":
            yield file.path, None, file.problem


def _row(path: Path, member: str | None, refused: str, name: str, match: re.Match | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "recording_id": safe_id(name.rpartition(".")[0] or name),
        "speaker": path.stem,
        "source": path,
        "member": member,
    }
    if refused:
        return row | {"problem": f"refused: {refused}"}
    if match is None or match["emotion"] not in EMOTIONS or match["intensity"] not in INTENSITY:
        return row | {"problem": f"name: {name!r} is not one of RAVDESS"}
    emotion = EMOTIONS[match["emotion"]]
    return row | {
        "speaker": f"Actor_{match['actor']}",
        "sex": "male" if int(match["actor"]) % 2 else "female",
        "emotion": common_name(emotion),
        "emotion_raw": emotion,
        "level": int(match["intensity"]),
        "intensity": NEUTRAL_INTENSITY if emotion == "neutral" else INTENSITY[match["intensity"]],
        "sentence": STATEMENTS.get(match["statement"], match["statement"]),
    }
