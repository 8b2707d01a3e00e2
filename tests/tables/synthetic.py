"""Synthetic results of a benchmark: random numbers and tiny videos in the declared
tables.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from eadbench.core import schemas
from eadbench.core.tables import write_table
from eadbench.media.video import write_video

EMOTIONS = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise", "contempt")
# name: mean, spread between clips, effect of a good method, extractor
PER_CLIP = {
    "ssim": (0.80, 0.03, 0.04, "skimage-gaussian"),
    "sync": (4.0, 0.9, 1.2, "syncnet-trained"),
    "acc_emo": (0.5, 0.0, 0.2, "emotion-trained"),
    "jitter_ratio": (1.4, 0.3, -0.3, "mesh-478"),
    "motion_energy_ratio": (1.0, 0.15, 0.05, "mesh-478"),
}
SETS = {"fid": (45.0, -9.0, "inception-random"), "fvd": (420.0, -70.0, "i3d-random")}
GRID = {
    "full": (True, True, True),
    "no_stda": (False, True, True),
    "no_tfrm": (True, False, True),
    "no_text": (True, True, False),
    "stda_only": (True, False, False),
    "tfrm_only": (False, True, False),
    "text_only": (False, False, True),
    "plain": (False, False, False),
}
SHA = {
    name: f"{k:x}" * 64
    for k, name in enumerate(("syncnet-trained", "emotion-trained", "inception-random", "i3d-random"), 1)
}


@dataclass
class World:
    """Size and content of the synthetic results.

    Attributes:
        methods: Method -> quality in 0..1 that shifts its values.
        corpora: Corpora.
        speakers: Speakers per corpus.
        clips: Clips per speaker.
        videos: Whether videos are written.
        frames: Frames of a video.
        size: Side of a video.
        history: Runs with a training history.
    """

    methods: dict[str, float] = field(default_factory=lambda: METHODS)
    corpora: tuple[str, ...] = ("demo_hdtf", "demo_mead", "demo_ravdess")
    speakers: int = 3
    clips: int = 8
    videos: bool = False
    frames: int = 50
    size: int = 64
    history: tuple[str, ...] = ("full", "no_tfrm")
    seed: int = 5


METHODS = {
    "full": 0.8,
    "no_stda": 0.5,
    "no_tfrm": 0.6,
    "no_text": 0.75,
    "stda_only": 0.4,
    "tfrm_only": 0.3,
    "text_only": 0.35,
    "plain": 0.1,
    "wav2lip": 0.55,
    "still": 0.0,
    "shuffled_audio": 0.05,
    "copied_input": 0.9,
    "ground_truth": 1.0,
}

CONFIG = {
    "methods": [
        "full",
        "wav2lip",
        "no_stda",
        "no_tfrm",
        "no_text",
        "stda_only",
        "tfrm_only",
        "text_only",
        "plain",
        "still",
        "shuffled_audio",
        "copied_input",
        "ground_truth",
    ],
    "controls": ["still", "shuffled_audio", "copied_input"],
    "labels": {
        "full": "EAD-Net",
        "wav2lip": "Wav2Lip",
        "ground_truth": "Ground truth",
        "stda": "STDA",
        "tfrm": "TFRM",
        "demo_hdtf": "HDTF (demo)",
        "demo_mead": "MEAD (demo)",
        "demo_ravdess": "RAVDESS (demo)",
    },
    "main": {
        "title": "Main comparison",
        "corpora": ["demo_hdtf", "demo_mead"],
        "metrics": ["ssim", "fid", "fvd", "sync", "acc_emo"],
        "quoted": {"demo_mead": "MEAD"},
    },
    "generalisation": {
        "title": "Generalisation",
        "corpora": ["demo_ravdess"],
        "metrics": ["ssim", "fid", "fvd", "sync", "acc_emo"],
    },
    "ablation": {
        "title": "Ablation",
        "corpora": ["demo_hdtf"],
        "metrics": ["ssim", "fvd", "sync", "acc_emo", "jitter_ratio", "motion_energy_ratio"],
        "reference": "full",
        "factors": {m: dict(zip(("stda", "tfrm", "text"), s, strict=True)) for m, s in GRID.items()},
    },
    "speed": {"title": "Speed", "corpora": ["demo_hdtf"]},
    "bootstrap": 200,
}


def make_results(folder: Path, world: World | None = None) -> Path:
    """Write ``folder`` as a results folder; returns it."""
    world = world or World()
    for corpus in world.corpora:
        clips = _clips_table(folder, corpus, world)
        _captions(folder, corpus, clips, world.seed)
        for method, quality in world.methods.items():
            rng = np.random.default_rng([world.seed, len(method), *method.encode(), *corpus.encode()])
            _scores(folder, method, corpus, clips, quality, rng)
            _samples(folder, method, corpus, clips, quality, rng, world)
    for run in world.history:
        _training(folder, run, world.seed)
    return folder


KINDS = {
    "full": "eadnet",
    "wav2lip": "wav2lip",
    "still": "still",
    "shuffled_audio": "shuffled_audio",
    "copied_input": "copied_input",
    "ground_truth": "ground_truth",
}
CORPORA = {
    "demo_hdtf": {"kind": "hdtf", "drawn": True},
    "demo_mead": {"kind": "mead", "drawn": True},
    "demo_ravdess": {"kind": "ravdess", "drawn": False},
}


def inputs_of(folder: Path) -> dict:
    """Arguments of ``TableInputs``."""
    return {
        "kinds": KINDS,
        "corpora": CORPORA,
        "summary": sorted(folder.glob("scores/*/*/*/summary.parquet")),
        "per_clip": sorted(folder.glob("scores/*/*/*/per_clip.parquet")),
        "samples": sorted(folder.glob("samples/*/*/*/samples.parquet")),
        "history": sorted(folder.glob("training/*/history.parquet")),
    }


def _clips_table(folder: Path, corpus: str, world: World) -> pd.DataFrame:
    rows = []
    for s in range(world.speakers):
        for k in range(world.clips):
            emotion = EMOTIONS[k % len(EMOTIONS)]
            name = f"S{s:02d}_{k:03d}-000"
            rows.append(
                {
                    "clip_id": name,
                    "recording_id": name[:-4],
                    "corpus": corpus,
                    "speaker": f"S{s:02d}",
                    "emotion": emotion,
                    "intensity": 1.0,
                    "split": "test",
                    "frames": world.frames,
                    "fps": 25.0,
                    "size": world.size,
                    "status": "kept",
                    "reason": "",
                }
            )
    dropped = [
        dict(r, clip_id=f"{r['clip_id']}x", status="dropped", reason="blurred", split="train")
        for r in rows[:3]
    ]
    failed = [
        dict(r, clip_id=f"{r['clip_id']}y", status="failed", reason="no face was found", split="train")
        for r in rows[:2]
    ]
    write_table(
        folder / "clips" / corpus / "clips.parquet", [*rows, *dropped, *failed], schemas.CLIPS, "clip_id"
    )
    return pd.DataFrame(rows)


def _captions(folder: Path, corpus: str, clips: pd.DataFrame, seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    rows = []
    for clip in clips.itertuples():
        similarity = float(np.clip(rng.normal(0.6, 0.15), -1, 1))
        is_kept = similarity >= 0.5
        rows.append(
            {
                "clip_id": clip.clip_id,
                "corpus": corpus,
                "speaker": clip.speaker,
                "emotion": clip.emotion,
                "split": clip.split,
                "captioner": "measured",
                "caption": f"a {clip.emotion} face",
                "similarity": similarity,
                "similarity_kind": "text-label",
                "embedder": "hash",
                "threshold": 0.5,
                "status": "kept" if is_kept else "dropped",
                "reason": "" if is_kept else "similarity below the threshold",
            }
        )
    write_table(folder / "captions" / corpus / "captions.parquet", rows, schemas.CAPTIONS, "clip_id")


def _scores(
    folder: Path, method: str, corpus: str, clips: pd.DataFrame, quality: float, rng: np.random.Generator
) -> None:
    cell = {"method": method, "corpus": corpus, "protocol": "self"}
    out = folder / "scores" / method / corpus / "self"
    per_clip, summary = [], []
    # clips differ in difficulty, in the same way for all methods
    shared = np.random.default_rng(len(corpus)).normal(0, 1, len(clips))
    for metric, (mean, spread, effect, extractor) in PER_CLIP.items():
        values = mean + effect * quality + spread * (0.8 * shared + 0.5 * rng.normal(0, 1, len(clips)))
        if metric == "acc_emo":
            values = (rng.random(len(clips)) < mean + effect * quality).astype(float)
        signature = {"extractor": extractor, "weights_sha256": SHA.get(extractor, ""), "resolution": 64}
        per_clip += [
            cell
            | signature
            | {
                "clip_id": c.clip_id,
                "speaker": c.speaker,
                "emotion": c.emotion,
                "metric": metric,
                "value": v,
                "frames": 50,
                "status": "kept",
                "reason": "",
            }
            for c, v in zip(clips.itertuples(), values, strict=True)
        ]
        half_width = 1.96 * values.std() / np.sqrt(len(values))
        summary.append(
            cell
            | signature
            | {
                "metric": metric,
                "value": values.mean(),
                "low": values.mean() - half_width,
                "high": values.mean() + half_width,
                "n": len(values),
                "n_missing": 0,
                "frames": 50 * len(values),
                "warning": "",
            }
        )
    for metric, (mean, effect, extractor) in SETS.items():
        value = mean + effect * quality + rng.normal(0, 1.0)
        summary.append(
            cell
            | {
                "extractor": extractor,
                "weights_sha256": SHA[extractor],
                "resolution": 64,
                "metric": metric,
                "value": value,
                "low": value - 3,
                "high": value + 3,
                "n": len(clips),
                "n_missing": 0,
                "frames": 50 * len(clips),
                "variant": "stylegan-v" if metric == "fvd" else None,
                "warning": "fewer clips than feature dimensions",
            }
        )
    write_table(out / "per_clip.parquet", per_clip, schemas.PER_CLIP, ["metric", "clip_id"])
    write_table(out / "summary.parquet", summary, schemas.SUMMARY, "metric")
    truth = np.array([EMOTIONS.index(e) for e in clips.emotion])
    named = np.where(
        rng.random(len(clips)) < 0.3 + 0.6 * quality, truth, rng.integers(0, len(EMOTIONS), len(clips))
    )
    target_emotions = sorted(set(clips.emotion))
    confusion = [
        cell | {"asked": e, "judged": judged, "n": ((truth == EMOTIONS.index(e)) & (named == k)).sum()}
        for e in target_emotions
        for k, judged in enumerate(EMOTIONS)
    ]
    write_table(out / "confusion.parquet", confusion, schemas.CONFUSION)
    (out / "provenance.json").write_text(
        json.dumps(
            {"command": ["eadbench"], "commit": "abc", "seconds": 2.0, "host": "here", "settings": {"a": 1}}
        )
    )


def _samples(
    folder: Path,
    method: str,
    corpus: str,
    clips: pd.DataFrame,
    quality: float,
    rng: np.random.Generator,
    world: World,
) -> None:
    out = folder / "samples" / method / corpus / "self"
    rows = []
    for k, clip in enumerate(clips.itertuples()):
        video = f"videos/{clip.clip_id}.mp4"
        if world.videos:
            # the same face in all corpora: encoding is what takes the time
            twin = folder / "samples" / method / world.corpora[0] / "self" / video
            if twin.exists():
                (out / video).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(twin, out / video)
            else:
                write_video(
                    out / video,
                    moving_face(world.frames, world.size, k, quality),
                    audio=tone(world.frames, 200 + 40 * k),
                )
        rows.append(
            {
                "clip_id": clip.clip_id,
                "method": method,
                "corpus": corpus,
                "protocol": "self",
                "driving_clip": clip.clip_id,
                "speaker": clip.speaker,
                "target_emotion": clip.emotion,
                "target_intensity": 1.0,
                "caption_source": "other_clip" if method in GRID and GRID[method][2] else None,
                "video": video,
                "frames": world.frames,
                "frames_raw": world.frames,
                "seconds": 1 + rng.random(),
                "realtime_factor": (1 + rng.random()) / 2,
                "peak_mb": 300.0,
                "run_hash": method.encode().hex().ljust(64, "0")[:64],
                "status": "kept",
                "reason": "",
            }
        )
    write_table(out / "samples.parquet", rows, schemas.SAMPLES, "clip_id")


def _training(folder: Path, run: str, seed: int) -> None:
    rng = np.random.default_rng([seed, len(run)])
    rows = []
    for quantity, scale in (("loss", 1.0), ("loss_sync", 0.7), ("lr", 1e-4)):
        for step in range(10, 210, 10):
            value = (
                scale * (0.3 + np.exp(-step / 60)) * (1 + 0.05 * rng.normal()) if quantity != "lr" else scale
            )
            rows.append({"run": run, "step": step, "split": "train", "quantity": quantity, "value": value})
    write_table(folder / "training" / run / "history.parquet", rows, schemas.HISTORY)
    frames = np.arange(16)
    matrix = np.exp(-np.abs(frames[:, None] - frames[None]) / 2.0).astype(np.float32)
    save_file(
        {"mid": matrix / matrix.sum(1, keepdims=True)}, folder / "training" / run / "adjacency.safetensors"
    )


def moving_face(frames: int, size: int, seed: int, quality: float) -> np.ndarray:
    """An oval with a mouth that opens and closes."""
    import cv2

    rng = np.random.default_rng(seed)
    images = np.full((frames, size, size, 3), rng.integers(60, 200, 3), np.uint8)
    skin = rng.integers(120, 230, 3).tolist()
    c = size // 2
    for t, image in enumerate(images):
        opening = max(0.0, np.sin(t / 3)) * quality
        cv2.ellipse(image, (c, c), (int(0.36 * size), int(0.46 * size)), 0, 0, 360, skin, -1, cv2.LINE_AA)
        for sign in (-1, 1):
            cv2.circle(
                image,
                (int(c + sign * 0.14 * size), int(0.42 * size)),
                max(1, size // 24),
                (20, 20, 20),
                -1,
                cv2.LINE_AA,
            )
        cv2.ellipse(
            image,
            (c, int(0.72 * size)),
            (int(0.13 * size), int(1 + 0.07 * size * opening)),
            0,
            0,
            360,
            (110, 20, 30),
            -1,
            cv2.LINE_AA,
        )
    return images


def tone(frames: int, pitch: float) -> np.ndarray:
    """Audio as long as the frames at 25 fps, 16 kHz."""
    time = np.arange(frames * 640) / 16000
    return (0.2 * np.sin(2 * np.pi * pitch * time) * (0.5 + 0.5 * np.sin(2 * np.pi * 2 * time))).astype(
        np.float32
    )
