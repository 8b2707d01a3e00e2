"""Speaker-disjoint splits, and duplicates that would leak from one into another."""

import logging
from collections import defaultdict
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from eadbench.core.errors import EadbenchError
from eadbench.corpora.config import SplitConfig

log = logging.getLogger(__name__)
SAME_BITS = 3  # of 64 bits of the perceptual hash that near-identical frames may differ in
SAME_LEVELS = 4.0  # grey levels by which their thumbnails may differ on average
SAME_SECONDS = 0.1
BLOCK = 2048
ONE_BITS = np.array([byte.bit_count() for byte in range(256)], np.uint8)  # in each value of a byte


def assign(rows: list[dict[str, Any]], split: SplitConfig) -> None:
    """Set ``split`` of every row, so that no speaker and no source video is in two.

    Speakers who share a source video (HDTF has one video under two names) are taken as
    one.

    Raises:
        EadbenchError: If the config puts one of them into two splits.
    """
    groups = _groups(rows)
    split_of_group: dict[str, tuple[str, str]] = {}
    for name in ("test", "val"):
        for pattern in getattr(split, name):
            matched_groups = {
                groups[row["speaker"]]
                for row in rows
                if fnmatchcase(row["speaker"], pattern) or fnmatchcase(row["recording_id"], pattern)
            }
            if not matched_groups:
                log.warning("split %s: %r matches no speaker and no recording", name, pattern)
            for group in matched_groups:
                other_name, other_pattern = split_of_group.get(group, (name, pattern))
                if other_name != name:
                    raise EadbenchError(
                        f"speaker {group!r} would be in {other_name} (by {other_pattern!r}) and "
                        f"in {name} (by {pattern!r})",
                        "corpora: sets: split",
                        "splits are speaker-disjoint; name the speaker in one of them",
                    )
                split_of_group[group] = (name, pattern)
    for row in rows:
        row["split"], _ = split_of_group.get(groups[row["speaker"]], (split.rest, ""))


def _groups(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Speaker -> name of the group that it forms with those with whom it shares a video
    (union-find).
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    speakers_of = defaultdict(set)
    for row in rows:
        root(row["speaker"])
        speakers_of[row.get("video_key") or row["recording_id"]].add(row["speaker"])
    for speakers in speakers_of.values():
        first, *others = sorted(speakers)
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    return {speaker: root(speaker) for speaker in list(parent)}


def drop_leaks(rows: list[dict[str, Any]]) -> int:
    """Mark rows outside the test split that show the same recording as one in it (and
    train rows against val): equal sha256, or first frames that are near-identical in
    videos of the same length. Returns how many.
    """
    count = 0
    for guarded, others in (("test", ("train", "val")), ("val", ("train",))):
        inside = [row for row in rows if row["split"] == guarded and row["status"] == "kept"]
        outside = [row for row in rows if row["split"] in others and row["status"] == "kept"]
        for row, duplicate in same_recordings(outside, inside):
            row["status"] = "dropped"
            row["reason"] = f"duplicate: the same recording as {duplicate['recording_id']} in {guarded}"
            count += 1
    return count


def same_recordings(outside: list[dict[str, Any]], inside: list[dict[str, Any]]) -> list[tuple[dict, dict]]:
    """Rows of ``outside`` that show the same recording as one of ``inside``, with that
    one: equal sha256, or first frames that are near-identical and one length.
    """
    # excerpts of one video share its sha256: only whole files are compared by it
    whole_inside = [row for row in inside if row.get("start") is None]
    whole_outside = [row for row in outside if row.get("start") is None]
    by_hash = {row["sha256"]: row for row in whole_inside if row.get("sha256")}
    pairs = {}
    for row in whole_outside:
        if row.get("sha256") in by_hash:
            pairs[id(row)] = (row, by_hash[row["sha256"]])
    rows_a = [row for row in outside if row.get("look") is not None]
    rows_b = [row for row in inside if row.get("look") is not None]
    if rows_a and rows_b:
        bits_b = _hashes(rows_b)
        for start in range(0, len(rows_a), BLOCK):
            bits_a = _hashes(rows_a[start : start + BLOCK])
            for i, j in np.argwhere(_bits_set(bits_a[:, None] ^ bits_b[None]) <= SAME_BITS):
                row, duplicate = rows_a[start + i], rows_b[j]
                if _alike(row, duplicate):
                    pairs.setdefault(id(row), (row, duplicate))
    return list(pairs.values())


def _hashes(rows: list[dict[str, Any]]) -> np.ndarray:
    return np.frombuffer(b"".join(row["look"][:8] for row in rows), ">u8").astype(np.uint64)


def _thumbnail(row: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(row["look"], np.uint8, offset=8).astype(float)


def _bits_set(words: np.ndarray) -> np.ndarray:
    """Number of one bits in each uint64; numpy 1, which mediapipe's wheel asks for, has no
    ``bitwise_count``.
    """
    return ONE_BITS[np.ascontiguousarray(words)[..., None].view(np.uint8)].sum(-1)


def _alike(row: dict[str, Any], duplicate: dict[str, Any]) -> bool:
    same_length = (
        row.get("duration")
        and duplicate.get("duration")
        and abs(row["duration"] - duplicate["duration"]) <= SAME_SECONDS
    )
    if not same_length or row.get("start") != duplicate.get("start"):
        return False
    return bool(np.abs(_thumbnail(row) - _thumbnail(duplicate)).mean() <= SAME_LEVELS)


def look_of(grey: np.ndarray) -> bytes | None:
    """The column ``look``: a 64-bit difference hash (8 bytes) and a 16 x 16 thumbnail
    (256 bytes) of a grey image; ``None`` for a nearly uniform one (fade-in), which
    resembles others.
    """
    import cv2

    if grey.std() < 8:
        return None
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return np.packbits(bits).tobytes() + cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA).tobytes()
