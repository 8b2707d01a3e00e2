"""HDTF's five lists per group for the filmed videos, and the record of RAVDESS's
archives, with the originals' quirks.
"""

import hashlib
import json
import zipfile
from pathlib import Path

from eadbench.core.files import atomic_path, write_text
from eadbench.synthetic.filming import cameras
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
    faultless = [job for job in jobs if not job.fault]
    # the actor whose address has ``&t=`` and whose listed height is too small
    quirky_actor = faultless[1].actor if len(faultless) > 1 else None
    written = []
    for group in GROUPS:
        group_jobs = [job for job in jobs if job.actor.startswith(f"{group}/")]
        if not group_jobs:
            continue
        lines: dict[str, list[str]] = {
            "video_url": [],
            "annotion_time": [],
            "resolution": [],
            "crop_wh": [],
            "crop_ratio": [],
        }
        for job in group_jobs:
            name, key = job.actor.partition("/")[2], Path(job.key).stem
            has_quirks = job.actor == quirky_actor
            lines["video_url"].append(f"{name} {ADDRESS}/watch?v={key}" + ("&t=4s" if has_quirks else ""))
            height = job.size[1] // 2 if has_quirks else job.size[1]
            lines["resolution"].append(f"{name}.mp4 {height}")
            if job.fault == "untimed":
                continue
            stretches = _stretches(job.seconds)
            times = " ".join(f"{_clock(start)}-{_clock(end)}" for start, end in stretches)
            lines["annotion_time"].append(f"{name}.mp4 {times}" + (" " if group == "WRA" else ""))
            for number in range(len(stretches)):
                if job is faultless[0] and number == 1:
                    continue
                x, y, side = _crop(job, number)
                lines["crop_wh"].append(f"{name}_{number}.mp4 {x} {side} {y} {side}")
                lines["crop_ratio"].append(f"{name}_{number}.mp4 1.2")
        for list_name, rows in lines.items():
            start = BOM if (group, list_name) == ("WDA", "video_url") else ""
            end = "\n" if list_name in ("crop_wh", "crop_ratio") else ""
            write_text(folder / f"{group}_{list_name}.txt", start + "\n".join(rows) + end)
            written.append(f"{group}_{list_name}.txt")
    return written


def _stretches(seconds: float) -> list[tuple[int, int]]:
    cuts = hdtf_cuts(seconds)
    first = [(int(cuts["card"]), int(cuts["slide"]))]
    if cuts["after"] >= cuts["end"]:
        return first
    return [*first, (int(cuts["after"]), int(cuts["end"]))]


def _clock(seconds: int) -> str:
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def _crop(job: FilmJob, number: int) -> tuple[int, int, int]:
    """Left, top and side of the square around the face in a stretch; the first stretch
    has two cameras.
    """
    camera_count = 2 if number == 0 and job.seconds >= 20 else 1
    stretch_cameras = cameras(job.layout, job.actor, job.size, job.seed)[:camera_count]
    left = min(camera.x - 98 * camera.scale for camera in stretch_cameras)
    top = min(camera.y - 108 * camera.scale for camera in stretch_cameras)
    right = max(camera.x + 98 * camera.scale for camera in stretch_cameras)
    bottom = max(camera.y + 104 * camera.scale for camera in stretch_cameras)
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
            actor_jobs = [job for job in jobs if job.actor == actor]
            for job in sorted(actor_jobs, key=lambda job: job.key):
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
