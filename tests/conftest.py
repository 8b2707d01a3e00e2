"""Shared fixtures: small real media files, made on the spot."""

from pathlib import Path

import numpy as np
import pytest

from eadbench.core import schemas
from eadbench.core.tables import write_table
from eadbench.media.audio import write_wav
from eadbench.media.video import write_video

FPS, RATE = 25, 16000


def talking_oval(frames: int, size: int, seed: int, speed: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A crude face whose mouth follows a syllable-like sound.

    Returns:
        Frames ``(T, S, S, 3)`` uint8, sound ``(T * 640,)`` float32, landmarks ``(T, 478, 2)`` (mouth points move, others rest).
    """
    import cv2

    rng = np.random.default_rng(seed)
    time = np.arange(frames) / FPS
    opening = np.clip(np.sin(2 * np.pi * speed * time + rng.uniform(0, 6)), 0, 1)
    skin = rng.integers(120, 230, 3).tolist()
    images = np.full((frames, size, size, 3), rng.integers(40, 200, 3), np.uint8)
    c = size / 2
    for image, o in zip(images, opening, strict=True):
        cv2.ellipse(image, (int(c), int(c)), (int(0.36 * size), int(0.46 * size)), 0, 0, 360, skin, -1, cv2.LINE_AA)
        for side in (-1, 1):
            cv2.circle(image, (int(c + side * 0.14 * size), int(0.42 * size)), max(1, size // 24), (20, 20, 20), -1, cv2.LINE_AA)
        cv2.ellipse(image, (int(c), int(0.72 * size)), (int(0.13 * size), int(1 + 0.07 * size * o)), 0, 0, 360, (110, 20, 30), -1, cv2.LINE_AA)
    loud = np.interp(np.arange(frames * 640) / RATE, time, opening)
    tone = sum(np.sin(2 * np.pi * f * np.arange(frames * 640) / RATE) for f in (140, 280, 700, 1200))
    sound = (0.15 * loud * tone + 0.002 * rng.standard_normal(frames * 640)).astype(np.float32)
    base = rng.uniform(0.25, 0.75, (478, 2)) * size
    landmarks = np.repeat(base[None], frames, 0)
    landmarks[:, 13] = np.stack([np.full(frames, c), 0.72 * size - 0.07 * size * opening], 1)
    landmarks[:, 14] = np.stack([np.full(frames, c), 0.72 * size + 0.07 * size * opening], 1)
    return images, sound, landmarks.astype(np.float32)


def make_clips(folder: Path, speakers: int = 3, per_speaker: int = 2, frames: int = 50, size: int = 64, corpus: str = "tiny") -> Path:
    """Write aligned clips with sound, tracks and a CLIPS table as ``clips`` would; returns the table's path. The last speaker is the test split."""
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
            np.savez(folder / "tracks" / f"{name}.npz", matrix=matrix, source_frame=np.arange(frames), landmarks=landmarks, box=box)
            rows.append(
                {
                    "clip_id": name, "recording_id": name[:-4], "corpus": corpus, "speaker": f"S{s:02d}", "emotion": emotions[number % 8],
                    "emotion_raw": emotions[number % 8], "level": 3, "intensity": 1.0, "view": "front", "sentence": f"{k}",
                    "split": "test" if s == speakers - 1 else "train", "video": f"videos/{name}.mp4", "audio": f"audio/{name}.wav",
                    "track": f"tracks/{name}.npz", "source": f"videos/{name}.mp4", "frames": frames, "fps": float(FPS), "size": size,
                    "source_start": 0.0, "source_end": frames / FPS, "status": "kept", "reason": "",
                }
            )  # fmt: skip
    write_table(folder / "clips.parquet", rows, schemas.CLIPS)
    return folder / "clips.parquet"


@pytest.fixture(scope="session")
def tiny_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of two seconds at 64 pixels, three speakers, the last one in the test split."""
    return make_clips(tmp_path_factory.mktemp("tiny_clips"))


@pytest.fixture(scope="session")
def tiny_parts(tiny_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Artefacts that features and training use, made by the zoo at the smallest size: ``vae``, ``whisper``, ``videomae``, ``lpips``."""
    from eadbench.zoo.config import ZooConfig
    from eadbench.zoo.make import Inputs, make

    artefacts = {
        "vae": {
            "kind": "vae", "how": "trained",
            "options": {"size": 32, "channels": [12, 12, 12], "norm_groups": 3, "steps": 3, "frames_per_clip": 4},
        },
        "whisper": {"kind": "whisper", "how": "trained", "options": {"state": 16, "heads": 2, "layers": 1, "steps": 2, "clusters": 4, "crop": 50}},
        "videomae": {
            "kind": "videomae",
            "how": "random",
            "options": {
                "image_size": 32, "patch_size": 16, "num_frames": 4, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                "intermediate_size": 32,
            },
        },
        "lpips": {"kind": "lpips", "how": "random", "options": {}},
    }  # fmt: skip
    folder, config = tmp_path_factory.mktemp("tiny_parts"), ZooConfig.model_validate({"artefacts": artefacts})
    for name in artefacts:
        make(name, config, 1, Inputs([tiny_clips]), folder / name)
    return {name: folder / name for name in artefacts}


@pytest.fixture(scope="session")
def tiny_features(tiny_clips: Path, tiny_parts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of the features of ``tiny_clips`` at 32 pixels (latents 8 x 8), in two shards; captions are random vectors.

    The caption of the first clip was dropped, the last clip has none.
    """
    import pandas as pd
    import torch
    from safetensors.torch import save_file

    from eadbench.core.tables import read_table
    from eadbench.features.config import FeaturesConfig
    from eadbench.features.extract import extract
    from eadbench.features.merge import merge

    folder = tmp_path_factory.mktemp("tiny_features")
    config = FeaturesConfig(size=32, whisper_padding=False)
    shards = []
    for shard in ("0-of-2", "1-of-2"):
        shards.append(folder / "shards" / shard / "features.parquet")
        extract(tiny_clips, shard, tiny_parts, config, shards[-1], torch.device("cpu"))
    clips = read_table(tiny_clips, schemas.CLIPS)
    captions = pd.DataFrame({"clip_id": clips["clip_id"], "corpus": "tiny", "captioner": "test", "status": "kept", "reason": ""})
    captions["caption"] = [f"looks {emotion}" for emotion in clips["emotion"]]
    captions.loc[0, ["status", "reason"]] = "dropped", "similarity"
    captions.loc[len(captions) - 1, ["caption", "status", "reason"]] = None, "failed", "no answer"
    write_table(folder / "captions.parquet", captions, schemas.CAPTIONS)
    texts = sorted(captions["caption"].dropna().unique())
    vectors = {f"t{k}": torch.randn(3 + k % 3, 12, generator=torch.Generator().manual_seed(k)).half() for k in range(len(texts))}
    save_file(vectors, folder / "text.safetensors")
    rows = [{"text_id": f"t{k}", "text": text, "tokens": 3 + k % 3, "file": "text.safetensors"} for k, text in enumerate(texts)]
    write_table(folder / "text.parquet", rows, schemas.TEXTS)
    merge(shards, tiny_clips, folder / "index.parquet", folder / "captions.parquet", folder / "text.parquet")
    return folder / "index.parquet"
