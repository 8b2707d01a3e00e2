"""`eadbench score` of one build or of two in turn: CPU seconds, frames per second, peak
memory, and where the time goes.

    python benchmarks/score_builds.py --video FILE --zoo results/zoo [--old CHECKOUT]
        [--sizes 256,512,1080] [--lengths 10,60,600] [--long-side 256] [--repeat 3]
        [--most-memory 6] [--only builds,lengths,shares]

From 10 s of FILE (a face that speaks) a pair is made: H.264 at crf 14 as the real video
and at crf 30 as the generated one, cut square, but for 1080, which keeps its form.
Longer ones hold the same packets again and again. Every run is a process of its own,
from the interpreter's start to the printed table, on one thread; the builds take turns
and the median counts. CPU seconds, not the clock, since other work on the machine
stretches that. A process above `--most-memory` GB is ended and said to be.

`benchmarks/scores.py` compares the metrics with the packages they come from.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from eadbench.media.audio import read_audio  # noqa: E402
from eadbench.media.video import iter_frames, write_video  # noqa: E402

EVALUATORS = {
    "sync": "syncnet_evaluator",
    "emotion": "emotion",
    "fid": "inception",
    "fvd": "i3d",
    "lpips": "lpips",
    "face_id": "face_id",
}
SECONDS, RATE = 10, 25


def film(video: Path, size: int, folder: Path) -> Path:
    """A pair of 10 s, in the folders ``real`` and ``fake``."""
    frames = []
    for _, frame in islice(iter_frames(video, fps=RATE), SECONDS * RATE):
        high, wide = frame.shape[:2]
        if size != 1080:
            side = min(high, wide)
            top, left = (high - side) // 2, (wide - side) // 2
            frame = cv2.resize(
                frame[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA
            )
        frames.append(frame)
    audio = np.resize(read_audio(video, end=SECONDS), 16000 * len(frames) // RATE).astype(np.float32)
    for side, crf in (("real", 14), ("fake", 30)):
        write_video(folder / side / "a.mp4", frames, RATE, audio=audio, crf=crf)
    return folder


def lengthen(pair: Path, times: int, folder: Path) -> Path:
    """The same packets so many times over."""
    for side in ("real", "fake"):
        (folder / side).mkdir(parents=True, exist_ok=True)
        with av.open(str(folder / side / "a.mp4"), "w") as out:
            made, last = {}, defaultdict(lambda: -1 << 40)
            for k in range(times):
                with av.open(str(pair / side / "a.mp4")) as source:
                    made = made or {
                        stream.index: out.add_stream_from_template(stream) for stream in source.streams
                    }
                    for packet in source.demux():
                        shift = round(SECONDS * k / packet.time_base)
                        stream = packet.stream.index
                        if packet.dts is None or packet.dts + shift <= last[stream]:
                            continue
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        last[stream], packet.stream = packet.dts, made[stream]
                        out.mux(packet)
    return folder


def run(build: Path, pair: Path, zoo: Path, scores: dict, most: float) -> dict:
    """One command: CPU seconds of user and kernel, peak resident memory in MB, the
    values of the generated video.
    """
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "s.parquet"
        named = dict(scores)
        if not (build / "eadbench/scores/evaluators.py").exists():
            named["judges"] = named.pop("evaluators")  # as builds before that file call them
        settings = json.dumps({"scores": named, "seed": 1, "device": "cpu"})
        command = [sys.executable, "-m", "eadbench", "--threads", "1", "score", "--real", str(pair / "real")]
        command += [
            "--fake",
            str(pair / "fake"),
            "--out",
            str(out),
            "--zoo",
            str(zoo),
            "--settings",
            settings,
        ]
        environment = {**os.environ, "PYTHONPATH": str(build), "OMP_NUM_THREADS": "1"}
        with (Path(place) / "log").open("w+") as log:
            process = subprocess.Popen(command, env=environment, cwd=place, stdout=log, stderr=log)
            ended = 0
            while not ended:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if not ended and resident(process.pid) > most * 1e9:
                    process.kill()
                    _, _, usage = os.wait4(process.pid, 0)
                    return {"ended": f"above {most:g} GB after {usage.ru_utime + usage.ru_stime:.0f} s"}
                time.sleep(0.1)
            if status:
                log.seek(0)
                return {"ended": log.read()[-300:]}
        import pandas as pd

        table = pd.read_parquet(out)
        values = table[table.method == "fake"].set_index(["metric", "variant"]).value.dropna().to_dict()
        values = {
            metric: value for (metric, _), value in values.items() if metric not in ("fvd", "fvd_fixed")
        }
        return {
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "kernel_s": usage.ru_stime,
            "peak_mb": usage.ru_maxrss / 1024,
            "values": values,
        }


def resident(process: int) -> int:
    """Bytes in memory; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def medians(runs: list[dict]) -> dict:
    """Medians of several runs; why it was ended, if one was."""
    ended = [one["ended"] for one in runs if "ended" in one]
    if ended:
        return {"ended": ended[0]}
    return {
        key: round(statistics.median(one[key] for one in runs), 1) for key in ("cpu_s", "kernel_s", "peak_mb")
    }


def compared(builds: dict[str, Path], pair: Path, arguments: argparse.Namespace, scores: dict) -> dict:
    """Medians of each build, frames per CPU second, and the largest relative difference
    of their values.
    """
    runs: dict[str, list[dict]] = {name: [] for name in builds}
    for _ in range(arguments.repeat):
        for name, build in builds.items():
            if not any("ended" in one for one in runs[name]):
                runs[name].append(run(build, pair, arguments.zoo, scores, arguments.most_memory))
    found = {name: medians(one) for name, one in runs.items()}
    for one in found.values():
        if "cpu_s" in one:
            one["frames_per_cpu_s"] = round(2 * SECONDS * RATE / one["cpu_s"], 1)
    old, new = (runs[name][0].get("values") if name in runs else None for name in ("old", "new"))
    if old and new:
        gaps = {
            name: abs(old[name] - new[name]) / max(abs(old[name]), 1e-3) for name in old.keys() & new.keys()
        }
        found["differ"] = {name: gap for name, gap in gaps.items() if gap > 1e-5}
    return found


def shares(pair: Path, arguments: argparse.Namespace, scores: dict) -> dict:
    """CPU seconds of one clip by what spends them, within this process."""
    import torch

    from eadbench.scores import clip
    from eadbench.scores.config import ScoresConfig
    from eadbench.scores.evaluators import load_evaluators
    from eadbench.scores.task import ScoreTask

    torch.set_num_threads(1)
    spent: dict[str, float] = defaultdict(float)

    def timed(name, work):
        start = time.process_time()
        try:
            return work()
        finally:
            spent[name] += time.process_time() - start

    attempt, landmarks_of = clip.attempt, clip.VideoLandmarks.of_frames
    clip.attempt = lambda reader, work: timed(type(reader).__name__, lambda: attempt(reader, work))
    clip.VideoLandmarks.of_frames = lambda *args: timed("face mesh", lambda: landmarks_of(*args))
    config = ScoresConfig.model_validate(scores)
    evaluators = load_evaluators(config, {name: arguments.zoo / name for name in EVALUATORS.values()}, "cpu")
    measurer = clip.Measurer(config, evaluators, show_progress=False)
    try:
        timed(
            "whole",
            lambda: measurer.measure(ScoreTask("a", fake=pair / "fake/a.mp4", real=pair / "real/a.mp4")),
        )
    finally:
        clip.attempt, clip.VideoLandmarks.of_frames = attempt, landmarks_of
        measurer.close()
    whole = spent.pop("whole")
    spent["decoding and the rest"] = whole - sum(spent.values())
    named = {
        name: round(seconds / whole, 3) for name, seconds in sorted(spent.items(), key=lambda one: -one[1])
    }
    return {
        "cpu_s": round(whole, 1),
        "share": {name: share for name, share in named.items() if share >= 0.005},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--old", type=Path, help="checkout of another build to compare with")
    parser.add_argument("--sizes", default="256,512,1080")
    parser.add_argument("--lengths", default="10,60,600", help="seconds")
    parser.add_argument("--long-side", type=int, default=256, help="size of the videos of several lengths")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--most-memory", type=float, default=6.0, metavar="GB")
    parser.add_argument("--metrics", default="", help="only these, comma-separated")
    parser.add_argument("--only", default="builds,lengths,shares")
    arguments = parser.parse_args()
    arguments.zoo = arguments.zoo.resolve()
    scores = {"evaluators": EVALUATORS, "fid_frames": 16, "lpips_frames": 4}
    if arguments.metrics:
        scores["metrics"] = arguments.metrics.split(",")
    old = {"old": arguments.old.resolve()} if arguments.old else {}
    parts = arguments.only.split(",")
    with tempfile.TemporaryDirectory() as place:
        pairs: dict[int, Path] = {}

        def pair(size: int) -> Path:
            if size not in pairs:
                pairs[size] = film(arguments.video, size, Path(place) / str(size))
            return pairs[size]

        for size in map(int, arguments.sizes.split(",")):
            if "builds" in parts:
                tell(f"{size} px", compared(old | {"new": ROOT}, pair(size), arguments, scores))
            if "shares" in parts:
                tell(f"{size} px, shares", shares(pair(size), arguments, scores))
        for seconds in map(int, arguments.lengths.split(",")) if "lengths" in parts else ():
            side = arguments.long_side
            long = lengthen(pair(side), seconds // SECONDS, Path(place) / f"{side}-{seconds}")
            once = argparse.Namespace(**vars(arguments) | {"repeat": 1})
            tell(f"{side} px, {seconds} s", compared({"new": ROOT}, long, once, scores))


def tell(what: str, found: dict) -> None:
    print(json.dumps({what: found}), flush=True)


if __name__ == "__main__":
    main()
