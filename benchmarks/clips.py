"""Cutting clips here against the plain public recipe, on the same videos.

The plain recipe is what most talking-head repositories do: ffmpeg resamples to 25 fps,
PySceneDetect's command finds cuts, a detector and a landmarker look at every frame,
ffmpeg cuts and crops each clip: four decodes and three encodes. Both use the same
networks and thresholds, one core each: both split over recordings alike, so the ratio
on two cores is that on one. The ratio is given without the plain recipe's landmarks,
too, since not every repository aligns by them.

    python benchmarks/clips.py --videos FOLDER [--out clips.json]

Needs, beside eadbench: ``pip install scenedetect imageio-ffmpeg`` (the latter carries
an ffmpeg; one on the PATH is preferred).
"""

import argparse
import csv
import inspect
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from functools import reduce
from importlib import import_module
from pathlib import Path

import numpy as np

from eadbench.clips.config import ClipsConfig
from eadbench.clips.cut import cut_shard
from eadbench.core import schemas
from eadbench.core.tables import read_table
from eadbench.corpora.config import CorporaConfig
from eadbench.corpora.fetch import fetch
from eadbench.corpora.index import index
from eadbench.media.faces import FaceMesh, make_detector
from eadbench.media.video import iter_frames, probe

CONFIG = ClipsConfig(size=256, max_seconds=10.0)
# 48 actors; lengths are probed per file, this is a round figure
MEAD_CLIPS, MEAD_SECONDS, MEAD_VIEWS = (48 * 670, 4.0, 7)
HDTF_HOURS = 17.07
STAGES = {  # what is timed within `clips cut`
    "decode": ("eadbench.clips.recording", "iter_decoded_frames"),
    "find cuts": ("eadbench.clips.shots", "CutDetector.__call__"),
    "cut out and shrink": ("eadbench.clips.track", "FaceTracker._cut_out"),
    "face mesh": ("eadbench.media.faces", "FaceMesh.__call__"),
    "detector": ("eadbench.clips.track", "FaceTracker._detect"),
    "audio": ("eadbench.clips.recording", "read_audio"),
    "warp": ("eadbench.clips.align", "warp"),
    "encode": ("eadbench.media.video", "VideoWriter.add"),
    "encode, last frames and audio": ("eadbench.media.video", "VideoWriter.__exit__"),
}


class Clock:
    """Wall and CPU seconds of named steps, children included."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, float]] = {}

    def __call__(self, name: str, work, *args):
        wall, cpu = time.perf_counter(), _cpu()
        result = work(*args)
        step = self.steps.setdefault(name, {"wall": 0.0, "cpu": 0.0})
        step["wall"] += time.perf_counter() - wall
        step["cpu"] += _cpu() - cpu
        return result

    def total(self, kind: str) -> float:
        return sum(step[kind] for step in self.steps.values())


class Stages:
    """CPU seconds of the process within functions, less those of timed functions that
    they call.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._inner: list[float] = []

    def __enter__(self) -> "Stages":
        self._old = []
        for stage, (module, path) in STAGES.items():
            *owners, name = path.split(".")
            owner = reduce(getattr, owners, import_module(module))
            self._old.append((owner, name, vars(owner)[name]))
            timed = self._timed(stage, getattr(owner, name))
            setattr(
                owner, name, staticmethod(timed) if isinstance(vars(owner)[name], staticmethod) else timed
            )
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, function in self._old:
            setattr(owner, name, function)

    def _timed(self, stage: str, function):
        def once(work):
            start = time.process_time()
            self._inner.append(0.0)
            try:
                return work()
            finally:
                spent = time.process_time() - start
                self.seconds[stage] += spent - self._inner.pop()
                if self._inner:
                    self._inner[-1] += spent

        def plain(*args, **more):
            return once(lambda: function(*args, **more))

        def generator(*args, **more):
            items, end = iter(function(*args, **more)), object()
            while (item := once(lambda: next(items, end))) is not end:
                yield item

        return generator if inspect.isgeneratorfunction(function) else plain


def _cpu() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def find_ffmpeg() -> str:
    if found := shutil.which("ffmpeg"):
        return found
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()


def run(*command: object) -> None:
    subprocess.run(
        [str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def plain(videos: list[Path], folder: Path, clock: Clock) -> list[tuple[str, float, float]]:
    """The plain recipe; returns (video, start, end) of its clips."""
    ffmpeg = find_ffmpeg()
    detector, mesh = make_detector(CONFIG.detector), FaceMesh()
    clips = []
    for video in videos:
        base = folder / video.stem
        base.mkdir()
        flat, wav = base / "25fps.mp4", base / "16k.wav"
        encode = ("-c:v", "libx264", "-crf", 18, "-preset", "veryfast", "-threads", 1)
        clock(
            "1 ffmpeg: 25 fps",
            run,
            ffmpeg,
            "-y",
            "-threads",
            1,
            "-i",
            video,
            "-r",
            25,
            *encode,
            "-c:a",
            "copy",
            flat,
        )
        clock("1 ffmpeg: 16 kHz", run, ffmpeg, "-y", "-i", video, "-vn", "-ac", 1, "-ar", 16000, wav)
        detect = (
            sys.executable,
            "-m",
            "scenedetect",
            "-i",
            flat,
            "-o",
            base,
            "detect-adaptive",
            "-m",
            12,
            "list-scenes",
            "-f",
            "scenes.csv",
            "-q",
        )
        clock("2 scenedetect", run, *detect)
        for scene, (start, end) in enumerate(_scenes(base / "scenes.csv", flat)):
            cut = base / f"scene{scene}.mp4"
            clock(
                "3 ffmpeg: split",
                run,
                ffmpeg,
                "-y",
                "-ss",
                start,
                "-threads",
                1,
                "-i",
                flat,
                "-t",
                end - start,
                *encode,
                "-an",
                cut,
            )
            for number, (first, last, box) in enumerate(_tracks(cut, detector, mesh, clock)):
                a, b = start + first / 25, start + last / 25
                if b - a < CONFIG.min_seconds:
                    continue
                x, y, side = box
                crop = f"crop={side}:{side}:{x}:{y},scale={CONFIG.size}:{CONFIG.size}"
                out = base / f"clip{scene}-{number}.mp4"
                trim = ("-y", "-ss", first / 25, "-threads", 1, "-i", cut, "-t", (last - first) / 25)
                clock("5 ffmpeg: crop", run, ffmpeg, *trim, "-vf", crop, *encode, out)
                clips.append((video.stem, a, b))
    return clips


def _scenes(table: Path, video: Path) -> list[tuple[float, float]]:
    rows = [row for row in csv.reader(table.open()) if row and row[0].isdigit()] if table.exists() else []
    return [(float(row[3]), float(row[6])) for row in rows] or [(0.0, probe(video).duration)]


def _tracks(video: Path, detector, mesh, clock: Clock) -> list[tuple[int, int, tuple[int, int, int]]]:
    """Runs of frames with a face, at most ``max_seconds`` long, and a square around all
    its boxes.
    """
    found = []
    frames = iter_frames(video)
    while (shown := clock("4 decode", next, frames, None)) is not None:
        frame = shown[1]
        boxes = clock("4 detect", detector, frame)
        mesh.reset()
        if len(boxes):
            clock("4 landmarks", mesh, frame)
        found.append(boxes[0] if len(boxes) else None)
    tracks, start = [], None
    for k, box in enumerate([*found, None]):
        if box is not None and start is None:
            start = k
        elif start is not None and (box is None or k - start >= CONFIG.max_seconds * 25):
            boxes = np.stack(found[start:k])
            low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
            side = int(min((high - low).max() * 1.6, *probe_size(video)))
            x, y = ((low + high - side) / 2).clip(0, np.array(probe_size(video)) - side).astype(int)
            tracks.append((start, k, (int(x), int(y), side)))
            start = k if box is not None else None
    return tracks


def probe_size(video: Path) -> tuple[int, int]:
    info = probe(video)
    return info.width, info.height


def ours(source: Path, folder: Path, clock: Clock, stages: Stages) -> list[tuple[str, float, float]]:
    settings = CorporaConfig(sets={"b": {"kind": "folder", "root": str(source)}}, probe_threads=1)
    clock(
        "index",
        lambda: (
            fetch("b", None, folder / "fetch.json", settings),
            index("b", folder / "fetch.json", folder / "index.parquet", settings),
        ),
    )
    with stages:
        clock("cut", cut_shard, "b", "0-of-1", folder / "index.parquet", folder / "cut.parquet", CONFIG)
    table = read_table(folder / "cut.parquet", schemas.CLIPS)
    kept = table[table["status"] == "kept"]
    return list(zip(kept["recording_id"], kept["source_start"], kept["source_end"], strict=True))


def covered(clips: list[tuple[str, float, float]]) -> dict[str, np.ndarray]:
    """Frames at 25 fps that lie in some clip, per video."""
    frames: dict[str, set[int]] = {}
    for name, start, end in clips:
        frames.setdefault(name, set()).update(range(round(start * 25), round(end * 25)))
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "clips.json")
    given = parser.parse_args()
    videos = sorted(
        path for path in given.videos.iterdir() if path.suffix.lower() in (".mp4", ".mkv", ".mov")
    )
    seconds = sum(probe(path).duration for path in videos)
    clocks, stages = {"ours": Clock(), "plain": Clock()}, Stages()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "plain").mkdir()
        clips = {
            "ours": ours(given.videos, Path(folder) / "ours", clocks["ours"], stages),
            "plain": plain(videos, Path(folder) / "plain", clocks["plain"]),
        }
    frames = seconds * 25
    spans = {name: covered(found) for name, found in clips.items()}
    names = set(spans["ours"]) | set(spans["plain"])
    both = sum(len(spans["ours"].get(name, set()) & spans["plain"].get(name, set())) for name in names)
    either = sum(len(spans["ours"].get(name, set()) | spans["plain"].get(name, set())) for name in names)
    per_frame = clocks["ours"].total("cpu") / frames
    landmarks = clocks["plain"].steps["4 landmarks"]
    named = stages.seconds | {"rest": clocks["ours"].steps["cut"]["cpu"] - sum(stages.seconds.values())}
    result = {
        "minutes": seconds / 60,
        "sizes": sorted({f"{probe(path).width}x{probe(path).height}" for path in videos}),
        "load": os.getloadavg()[0],
        "steps": {name: clock.steps for name, clock in clocks.items()},
        "frames_per_cpu_second": {name: frames / clock.total("cpu") for name, clock in clocks.items()},
        "stages_of_cut": {
            name: {
                "cpu": seconds,
                "share": seconds / sum(named.values()),
                "frames_per_second": frames / max(seconds, 1e-9),
            }
            for name, seconds in named.items()
        },
        "times_faster_without_landmarks_there": {
            kind: (clocks["plain"].total(kind) - landmarks[kind]) / clocks["ours"].total(kind)
            for kind in ("wall", "cpu")
        },
        "times_faster": {
            kind: clocks["plain"].total(kind) / clocks["ours"].total(kind) for kind in ("wall", "cpu")
        },
        "clips": {name: len(found) for name, found in clips.items()},
        "frames_in_both": both / max(either, 1),
        "core_hours_projected": {
            "mead_front": MEAD_CLIPS * MEAD_SECONDS * 25 * per_frame / 3600,
            "mead_all_views": MEAD_VIEWS * MEAD_CLIPS * MEAD_SECONDS * 25 * per_frame / 3600,
            "hdtf": HDTF_HOURS * 25 * per_frame,
        },
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
