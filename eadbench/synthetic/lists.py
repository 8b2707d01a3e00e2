"""HDTF's five lists per group for the filmed videos, and the record of RAVDESS's
archives, with the originals' quirks.
"""

import hashlib
import json
import zipfile
from pathlib import Path

from eadbench.core.files import atomic_path, write_text
from eadbench.synthetic.crew import cameras
from eadbench.synthetic.jobs import TAKES, FilmJob, hdtf_cuts

GROUPS = ("RD", "WDA", "WRA")
BOM = "\ufeff"
ADDRESS = "http://studio.invalid"


def write_hdtf_lists(folder: Path, jobs: list[FilmJob]) -> list[str]:
    """Write the lists; returns their names.

    Quirks kept from the originals: a byte order mark in WDA's list of addresses, whose
    names have no extension while all other lists' have; an address with ``&t=``; crops
    in the order x, w, y, h; a video without times, a stretch without crop, a listed
    height that is too small; a space at a line's end; files that end without a newline.
    """
    sound = [job for job in jobs if not job.fault]
    moved = sound[1].actor if len(sound) > 1 else None
    written = []
    for group in GROUPS:
        mine = [job for job in jobs if job.actor.startswith(f"{group}/")]
        if not mine:
            continue
        lines: dict[str, list[str]] = {
            "video_url": [],
            "annotion_time": [],
            "resolution": [],
            "crop_wh": [],
            "crop_ratio": [],
        }
        for job in mine:
            name, key = job.actor.partition("/")[2], Path(job.key).stem
            lines["video_url"].append(
                f"{name} {ADDRESS}/watch?v={key}" + ("&t=4s" if job.actor == moved else "")
            )
            lines["resolution"].append(
                f"{name}.mp4 {job.size[1] // 2 if job.actor == moved else job.size[1]}"
            )
            if job.fault == "untimed":
                continue
            stretches = _stretches(job.seconds)
            times = " ".join(f"{_clock(a)}-{_clock(b)}" for a, b in stretches)
            lines["annotion_time"].append(f"{name}.mp4 {times}" + (" " if group == "WRA" else ""))
            for number in range(len(stretches)):
                if job is sound[0] and number == 1:
                    continue
                x, y, side = _crop(job, number)
                lines["crop_wh"].append(f"{name}_{number}.mp4 {x} {side} {y} {side}")
                lines["crop_ratio"].append(f"{name}_{number}.mp4 1.2")
        for kind, rows in lines.items():
            text = "\n".join(rows) + ("\n" if kind in ("crop_wh", "crop_ratio") else "")
            write_text(
                folder / f"{group}_{kind}.txt", (BOM if (group, kind) == ("WDA", "video_url") else "") + text
            )
            written.append(f"{group}_{kind}.txt")
    return written


def _stretches(seconds: float) -> list[tuple[int, int]]:
    cuts = hdtf_cuts(seconds)
    first = [(int(cuts["card"]), int(cuts["slide"]))]
    return first if cuts["after"] >= cuts["end"] else [*first, (int(cuts["after"]), int(cuts["end"]))]


def _clock(seconds: int) -> str:
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def _crop(job: FilmJob, number: int) -> tuple[int, int, int]:
    """Left, top and side of the square around the face in a stretch; the first stretch
    has two cameras.
    """
    used = cameras(job.layout, job.actor, job.size, job.seed)[: 2 if number == 0 and job.seconds >= 20 else 1]
    boxes = [(c.x - 98 * c.scale, c.y - 108 * c.scale, c.x + 98 * c.scale, c.y + 104 * c.scale) for c in used]
    left, top, right, bottom = (
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    )
    width, height = job.size
    side = min(int(max(right - left, bottom - top)), width, height)
    x = min(max(int((left + right - side) / 2), 0), width - side)
    y = min(max(int((top + bottom - side) / 2), 0), height - side)
    return x, y, side


def write_ravdess_archives(folder: Path, jobs: list[FilmJob]) -> list[str]:
    """Zip the takes per actor (stored, fixed dates: the same bytes each time), write
    ``record.json`` in the form of Zenodo's; return the names.
    """
    files, names = [], []
    for actor in dict.fromkeys(job.actor for job in jobs):
        name = f"Video_Speech_{actor}.zip"
        with atomic_path(folder / name) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for job in sorted((job for job in jobs if job.actor == actor), key=lambda job: job.key):
                entry = zipfile.ZipInfo(job.key.removeprefix(f"{TAKES}/"), (2018, 4, 5, 0, 0, 0))
                archive.writestr(entry, (folder / job.key).read_bytes())
        data = (folder / name).read_bytes()
        links = {"self": f"{ADDRESS}/{name}"}
        files.append(
            {
                "id": name,
                "key": name,
                "size": len(data),
                "checksum": f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}",
                "links": links,
            }
        )
        names.append(name)
    record = {
        "id": 1188976,
        "metadata": {"title": "Drawn actors in the layout of RAVDESS", "version": "1.0.0"},
        "files": files,
    }
    write_text(folder / "record.json", json.dumps(record, indent=1) + "\n")
    return [*names, "record.json"]
