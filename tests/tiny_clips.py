"""Small talking clips, made on the spot as real media files."""

from pathlib import Path

import numpy as np

from eadbench.core import schemas
from eadbench.core.tables import write_table
from eadbench.media.audio import write_wav
from eadbench.media.video import write_video

FPS, RATE = 25, 16000


def talking_oval(
    frames: int, size: int, seed: int, speed: float = 2.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A crude face whose mouth follows a syllable-like sound.

    Returns:
        Frames ``(T, S, S, 3)`` uint8, sound ``(T * 640,)`` float32, landmarks
        ``(T, 478, 2)`` (mouth points move, others rest).
    """
    import cv2

    rng = np.random.default_rng(seed)
    time = np.arange(frames) / FPS
    opening = np.clip(np.sin(2 * np.pi * speed * time + rng.uniform(0, 6)), 0, 1)
    skin = rng.integers(120, 230, 3).tolist()
    images = np.full((frames, size, size, 3), rng.integers(40, 200, 3), np.uint8)
    c = size / 2
    for image, o in zip(images, opening, strict=True):
        cv2.ellipse(
            image, (int(c), int(c)), (int(0.36 * size), int(0.46 * size)), 0, 0, 360, skin, -1, cv2.LINE_AA
        )
        for side in (-1, 1):
            cv2.circle(
                image,
                (int(c + side * 0.14 * size), int(0.42 * size)),
                max(1, size // 24),
                (20, 20, 20),
                -1,
                cv2.LINE_AA,
            )
        cv2.ellipse(
            image,
            (int(c), int(0.72 * size)),
            (int(0.13 * size), int(1 + 0.07 * size * o)),
            0,
            0,
            360,
            (110, 20, 30),
            -1,
            cv2.LINE_AA,
        )
    loud = np.interp(np.arange(frames * 640) / RATE, time, opening)
    tone = sum(np.sin(2 * np.pi * f * np.arange(frames * 640) / RATE) for f in (140, 280, 700, 1200))
    sound = (0.15 * loud * tone + 0.002 * rng.standard_normal(frames * 640)).astype(np.float32)
    base = rng.uniform(0.25, 0.75, (478, 2)) * size
    landmarks = np.repeat(base[None], frames, 0)
    landmarks[:, 13] = np.stack([np.full(frames, c), 0.72 * size - 0.07 * size * opening], 1)
    landmarks[:, 14] = np.stack([np.full(frames, c), 0.72 * size + 0.07 * size * opening], 1)
    return images, sound, landmarks.astype(np.float32)


def make_clips(
    folder: Path,
    speakers: int = 3,
    per_speaker: int = 2,
    frames: int = 50,
    size: int = 64,
    corpus: str = "tiny",
) -> Path:
    """Write aligned clips with sound, tracks and a CLIPS table as ``clips`` would;
    returns the table's path. The last speaker is the test split.
    """
    emotions = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise", "contempt")
    rows = []
    for s in range(speakers):
        for k in range(per_speaker):
            number = s * per_speaker + k
            name = f"S{s:02d}_{k:03d}-000"
            images, sound, landmarks = talking_oval(frames, size, seed=100 * s + k)
            write_video(folder / "videos" / f"{name}.mp4", images, FPS, audio=sound, rate=RATE)
            write_wav(folder / "audio" / f"{name}.wav", sound, RATE)
            (folder / "tracks").mkdir(exist_ok=True)
            matrix = np.repeat(np.float32([[[1, 0, 0], [0, 1, 0]]]), frames, 0)
            box = np.repeat(np.float32([[0.14, 0.04, 0.86, 0.96]]) * size, frames, 0)
            np.savez(
                folder / "tracks" / f"{name}.npz",
                matrix=matrix,
                source_frame=np.arange(frames),
                landmarks=landmarks,
                box=box,
            )
            rows.append(
                {
                    "clip_id": name,
                    "recording_id": name[:-4],
                    "corpus": corpus,
                    "speaker": f"S{s:02d}",
                    "emotion": emotions[number % 8],
                    "emotion_raw": emotions[number % 8],
                    "level": 3,
                    "intensity": 1.0,
                    "view": "front",
                    "sentence": f"{k}",
                    "split": "test" if s == speakers - 1 else "train",
                    "video": f"videos/{name}.mp4",
                    "audio": f"audio/{name}.wav",
                    "track": f"tracks/{name}.npz",
                    "source": f"videos/{name}.mp4",
                    "frames": frames,
                    "fps": float(FPS),
                    "size": size,
                    "source_start": 0.0,
                    "source_end": frames / FPS,
                    "status": "kept",
                    "reason": "",
                }
            )
    write_table(folder / "clips.parquet", rows, schemas.CLIPS)
    return folder / "clips.parquet"
