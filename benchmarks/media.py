"""Reading media here against an older checkout, in one run: decode and resample, audio,
a short stretch of a long file.

Each measurement is a process of its own, old and new in turn; CPU seconds (user and
system) of the reading alone, notes taken, the median of five, and of the ratios of the
pairs.
Sources are made on the spot: noise drifting over a face, 30 frames per second, H.264
with B-frames.

    python benchmarks/media.py --old CHECKOUT [--out media.json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np

# width, height, seconds
SIZES = {"256 px": (256, 256, 20), "720 px": (1280, 720, 8), "1080 px": (1920, 1080, 5)}
WAYS = ("frames as decoded", "a face of a third of the width", "whole frames in RGB")
READ = """
import json, sys, time
from eadbench.media import video
from eadbench.media.audio import read_audio
path, way, start, end = json.loads(sys.argv[1])
old = hasattr(video, "at_rate")  # before iter_decoded_frames took fps, and all took notes

def frame_files():
    if old:
        begin = max(0.0, start - 0.5) if start else None
        timed = ((p.time, p) for p in video.iter_decoded_frames(path, begin, end))
        return (p for _, p in video.at_rate(timed, 25, start or 0.0))
    return video.iter_decoded_frames(path, start, end, 25, [])

begun, count = time.process_time(), 0
if way == "audio":
    count = len(read_audio(path, 16000, start, end, *([] if old else [[]])))
else:
    for p in frame_files():
        count += 1
        if way.startswith("a face"):
            w = p.width // 3 // 2 * 2
            p.region(w, 0, 2 * w, w)
        elif way.startswith("whole"):
            p.rgb()
print(json.dumps([time.process_time() - begun, count]))
"""


def make(path: Path, width: int, height: int, seconds: int) -> Path:
    """A video with audio; the length of the video track can be multiplied by copying, see
    :func:`lengthen`.
    """
    from skimage.data import astronaut

    face = cv2.resize(astronaut(), (width, height), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream(
            "libx264", rate=30, options={"preset": "veryfast", "crf": "23", "bf": "2", "g": "60"}
        )
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=48000, layout="stereo")
        for k in range(30 * seconds):
            image = np.roll(face, (k, 2 * k), (0, 1)).astype(np.int16)
            image += cv2.resize(rng.integers(-8, 9, (height // 4, width // 4, 3), np.int16), (width, height))
            frame = av.VideoFrame.from_ndarray(np.clip(image, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for at in range(0, 48000 * seconds, 1024):
            block = rng.normal(0, 0.1, (2, 1024)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, at
            container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path


def lengthen(source: Path, target: Path, times: int, seconds: int) -> Path:
    """Copy the packets of a film several times over, one after the other."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        tracks = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        packets = [
            (p.stream.index, p.pts * p.time_base, p.dts * p.time_base, p.is_keyframe, bytes(p), p.time_base)
            for p in old.demux()
            if p.size and 0 <= p.pts * p.time_base < seconds
        ]
        for k in range(times):
            for index, pts, dts, key, data, unit in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = tracks[index], unit, key
                packet.pts, packet.dts = round((pts + k * seconds) / unit), round((dts + k * seconds) / unit)
                new.mux(packet)
    return target


def timed(
    checkout: Path, path: Path, way: str, start: float | None = None, end: float | None = None
) -> tuple[float, int]:
    """CPU seconds and number of frames or samples."""
    settings = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ, json.dumps([str(path), way, start, end])]
    seconds, count = json.loads(
        subprocess.run(command, env=settings, capture_output=True, check=True, text=True, cwd="/").stdout
    )
    return seconds, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--out", type=Path, default=Path("media.json"))
    parser.add_argument("--minutes", type=int, default=60, help="length of the long file")
    args = parser.parse_args()
    sides = {"old": args.old.resolve(), "new": Path(__file__).resolve().parents[1]}
    rows: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        tasks: list[tuple] = []
        for name, size in SIZES.items():
            path = make(Path(folder) / f"{size[0]}.mp4", *size)
            tasks += [(f"{name}, {way}", path, way) for way in WAYS]
        minute = lengthen(Path(folder) / "1280.mp4", Path(folder) / "minute.mp4", 8, 8)
        hour = lengthen(Path(folder) / "1280.mp4", Path(folder) / "hour.mp4", round(args.minutes * 60 / 8), 8)
        tasks.append(("audio of a minute, 48 kHz stereo", minute, "audio"))
        for way in (WAYS[0], "audio"):
            tasks += [
                (f"4 s of {way} from {name}", path, way, at, at + 4)
                for name, path, at in (("a minute", minute, 31.5), ("an hour", hour, 1831.5))
            ]
        for _ in range(5):
            for name, *task in tasks:
                for side, checkout in sides.items():
                    seconds, count = timed(checkout, *task)
                    rows.setdefault(name, {}).setdefault(side, []).append(seconds)
                    rows[name][f"{side} count"] = count
    print("| what | old | new | times faster |\n|---|---|---|---|")
    for name, row in rows.items():
        old, new = median(row["old"]), median(row["new"])
        faster = median(a / b for a, b in zip(row["old"], row["new"], strict=True))
        print(f"| {name} | {old:.3f} | {new:.3f} | {faster:.2f} |")
    args.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
