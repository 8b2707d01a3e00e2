"""Face meshes with known actions, and tables of clips that show them."""

from pathlib import Path

import numpy as np

from eadbench.captions import measures as m
from eadbench.core import schemas
from eadbench.core.tables import write_table

# The actions that make each emotion, in distances of the eyes; nothing here is read
# from the captioner's patterns.
ACTIONS = {
    "neutral": {},
    "happy": {"corners": 0.10, "width": 0.08, "squint": 0.02},
    "angry": {"brow": -0.05, "tilt": -0.08, "eye": -0.02},
    "surprise": {"brow": 0.12, "eye": 0.08, "squint": -0.03, "open": 0.10},
    "sad": {"tilt": 0.09, "corners": -0.08, "eye": -0.03},
    "contempt": {"side": 0.08},
}


def mesh(
    brow=0.0,
    tilt=0.0,
    eye=0.0,
    squint=0.0,
    corners=0.0,
    width=0.0,
    open=0.0,
    side=0.0,
    shift=(0.0, 0.0),
    pixels=60.0,
    angle=0.0,
) -> np.ndarray:
    """Landmarks ``(478, 2)`` in pixels; actions in distances of the eyes, upwards
    positive. Points that no measure uses lie at the nose.
    """
    p = np.zeros((478, 2))
    p[:] = 0.0, -0.55
    for sign, corner in ((-1, m.RIGHT_EYE), (1, m.LEFT_EYE)):
        p[corner[0]], p[corner[1]] = (sign * 0.72, 0.0), (sign * 0.28, 0.0)
    for number, sign in ((0, -1), (1, 1)):
        for index in m.UPPER_LIDS[number]:
            p[index] = sign * 0.5, 0.10 + eye
        for index in m.LOWER_LIDS[number]:
            p[index] = sign * 0.5, -0.08 + squint
    for place, indices, height in (
        (0.25, m.BROWS_INNER, 0.33 + tilt / 2),
        (0.5, m.BROWS_MIDDLE, 0.40),
        (0.8, m.BROWS_OUTER, 0.33 - tilt / 2),
    ):
        for number, index in enumerate(indices):
            p[index] = (-place if number < 2 else place), height + brow
    p[m.NOSE_BASE], p[m.LIP_TOP] = (0, -0.75), (0, -0.95)
    p[m.LIP_INNER_TOP], p[m.LIP_INNER_BOTTOM] = (0, -1.02), (0, -1.04 - open)
    p[m.CORNER_RIGHT], p[m.CORNER_LEFT] = (
        (-0.4 - width / 2, -1.03 + corners),
        (0.4 + width / 2, -1.03 + corners + side),
    )
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (p * (1, -1)) @ turn.T * pixels + np.array([128, 110]) + shift


def speaking(
    actions: dict, frames: int, rng: np.random.Generator, scale: float = 1.0, person: dict | None = None
) -> np.ndarray:
    """``(T, 478, 2)``: the expression with talking, blinking and trembling on top, on a
    face of its own proportions.
    """
    person = person or {}
    total = {key: actions.get(key, 0) * scale + person.get(key, 0) for key in {*actions, *person}}
    track = []
    for t in range(frames):
        now = dict(total)
        now["open"] = now.get("open", 0) + 0.08 * max(0.0, np.sin(t * 1.1))
        now["eye"] = -0.15 if t % 20 == 7 else now.get("eye", 0)
        track.append(mesh(**now) + rng.normal(0, 0.15, (478, 2)))
    return np.float32(track)


def make_table(folder: Path, speakers: int = 4, frames: int = 30, corpus: str = "faces") -> Path:
    """Clips of each emotion by speakers of differing proportions; no videos, only
    tracks.
    """
    (folder / "tracks").mkdir(parents=True)
    rows = []
    for s in range(speakers):
        rng = np.random.default_rng(s)
        person = {
            key: rng.normal(0, size)
            for key, size in (
                ("brow", 0.06),
                ("corners", 0.05),
                ("eye", 0.02),
                ("width", 0.06),
                ("tilt", 0.04),
            )
        }
        for emotion, actions in ACTIONS.items():
            for level in (1, 2, 3):
                name = f"S{s}_{emotion}_{level}-000"
                landmarks = speaking(actions, frames, rng, 0.4 + 0.2 * level, person)
                matrix = np.repeat(np.float32([[[1, 0, 0], [0, 1, 0]]]), frames, 0)
                box = np.concatenate([landmarks.min(1), landmarks.max(1)], 1)
                np.savez(
                    folder / "tracks" / f"{name}.npz",
                    landmarks=landmarks,
                    matrix=matrix,
                    box=box,
                    source_frame=np.arange(frames),
                )
                rows.append(
                    {
                        "clip_id": name,
                        "recording_id": name[:-4],
                        "corpus": corpus,
                        "speaker": f"S{s}",
                        "emotion": emotion,
                        "level": level,
                        "intensity": level / 3,
                        "split": "test" if s == speakers - 1 else "train",
                        "track": f"tracks/{name}.npz",
                        "video": f"videos/{name}.mp4",
                        "frames": frames,
                        "fps": 25.0,
                        "status": "kept",
                        "reason": "",
                    }
                )
    write_table(folder / "clips.parquet", rows, schemas.CLIPS)
    return folder / "clips.parquet"
