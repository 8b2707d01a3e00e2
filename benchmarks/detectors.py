"""Hit rates of face detectors on the drawn actors, per actor: the table of
docs/detectors.md.

    python benchmarks/detectors.py [--frames 10] [--layout mead] [ACTOR ...]

Every emotion at full strength, mouth opening and closing, head moving as in the films;
frames are looked at without encoding. Only detectors whose models ship inside a
dependency: OpenCV 4's cascades, scikit-image's LBP cascade, MediaPipe 0.10.21's face
detection (short range) and face mesh.
"""

import argparse
import os

os.environ.setdefault("GLOG_minloglevel", "3")

import cv2
import mediapipe
import numpy as np
import skimage.data
from skimage.feature import Cascade

from eadbench.synthetic.acting import EXPRESSIONS
from eadbench.synthetic.filming import MOTIONS, studio_shot
from eadbench.synthetic.take import Line, Performance, Speech

SEED = 20260425
ACTORS = {
    "mead": [
        "M003",
        "M005",
        "M007",
        "M009",
        "M011",
        "M012",
        "M030",
        "W009",
        "W011",
        "W014",
        "W015",
        "W016",
        "W018",
        "W019",
    ],
    "ravdess": ["Actor_01", "Actor_02"],
    "hdtf": [
        "RD/Radio1",
        "WDA/OliveMarsh0",
        "WDA/PaulReed0",
        "WRA/RuthStone0",
        "WRA/SamHill0",
        "RD/Radio61",
        "WDA/BrookTorn",
        "RD/Radio24",
    ],
}
SIZES = {"mead": (256, 256), "ravdess": (256, 256), "hdtf": (640, 360)}


def frames(layout: str, actor: str, emotion: str, count: int, step: int = 3) -> list[np.ndarray]:
    """Every third frame of a take of babble."""
    shot = studio_shot(layout, actor, SIZES[layout], SEED, 0)
    rng = np.random.default_rng(1)
    seconds = count * step / 25 + 0.1
    syllables = np.abs(np.sin(np.arange(int(22050 * seconds)) / 22050 * np.pi * 3.5))
    audio = (0.2 * syllables * rng.standard_normal(len(syllables))).astype(np.float32)
    events = [(k / 7, "aA:"[k % 3] if k % 3 else "b") for k in range(int(seconds * 7))]
    speech = Speech(audio, 22050, events, [(0.0, Line("", emotion, 1.0))])
    show = Performance(shot.actor, speech, 25.0, MOTIONS[layout], SEED, "detectors", actor, emotion)
    images = [frame.copy() for frame in show.frames(shot, 0, count * step)][::step]
    shot.drop_layers()
    return images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("actors", nargs="*")
    parser.add_argument("--layout", choices=list(ACTORS), action="append")
    parser.add_argument("--frames", type=int, default=10, help="frames per emotion")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    default = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    alt2 = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
    lbp = Cascade(skimage.data.lbp_frontal_face_cascade_filename())
    blaze = mediapipe.solutions.face_detection.FaceDetection(model_selection=0, min_detection_confidence=0.5)
    print(
        "| actor | frames | Haar default | Haar alt2 | LBP | BlazeFace | face mesh | misses of alt2 "
        "|\n|---|---|---|---|---|---|---|---|"
    )
    for layout in given.layout or ACTORS:
        least = 70 if layout == "hdtf" else 80
        for actor in given.actors or ACTORS[layout]:
            hits, missed = [], {}
            for emotion in EXPRESSIONS:
                mesh = mediapipe.solutions.face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True)
                for image in frames(layout, actor, emotion, given.frames):
                    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
                    found = [
                        len(default.detectMultiScale(grey, 1.1, 3, minSize=(least, least))) > 0,
                        len(alt2.detectMultiScale(grey, 1.1, 3, minSize=(least, least))) > 0,
                        len(
                            lbp.detect_multi_scale(
                                grey,
                                scale_factor=1.2,
                                step_ratio=1,
                                min_size=(least, least),
                                max_size=(230, 230),
                            )
                        )
                        > 0,
                        blaze.process(image).detections is not None,
                        mesh.process(image).multi_face_landmarks is not None,
                    ]
                    hits.append(found)
                    if not found[1]:
                        missed[emotion] = missed.get(emotion, 0) + 1
                mesh.close()
            rates = " | ".join(f"{100 * rate:.0f}" for rate in np.mean(hits, 0))
            print(
                f"| {actor} | {len(hits)} | {rates} | {', '.join(f'{e} {n}' for e, n in missed.items())} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
