"""``samples render``: one face, one audio track, one emotion."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eadbench import zoo
from eadbench.captions.wording import label_texts
from eadbench.clips.paste import paste_back
from eadbench.core.device import pick_device
from eadbench.core.emotions import common_name, valence_arousal_intensity
from eadbench.core.errors import EadbenchError
from eadbench.core.progress import track
from eadbench.core.settings import Settings
from eadbench.features.audio import fit_length
from eadbench.media.audio import read_audio
from eadbench.media.video import VideoWriter
from eadbench.models.masks import mask_for
from eadbench.samples.config import SamplerConfig
from eadbench.samples.faces import FPS, TrackedFace, is_image, reference_frames, track_face
from eadbench.samples.manifest import RATE, SAMPLES_PER_FRAME
from eadbench.samples.pipeline import RenderClip, Sampler
from eadbench.samples.request import RenderRequest
from eadbench.samples.run import TrainedRun, load_eadnet, load_vae, states_of

log = logging.getLogger(__name__)
REFERENCE_SECONDS = 4
SYNTHETIC_MARK = "synthetic: this face was animated by eadbench (EAD-Net)"


def render(
    request: RenderRequest,
    run_folder: Path,
    zoo_folder: Path,
    parts: dict[str, Path],
    settings: Settings,
    overrides: dict[str, Any],
    out: Path,
) -> None:
    """Write ``out``: the source's frames with the face speaking, and the audio.

    Raises:
        EadbenchError: If an input cannot be used, no face is found, or a part is
            missing.
    """
    started = time.perf_counter()
    source, device = request.source, pick_device(settings.device)
    run = load_eadnet(run_folder)
    sampler_config = SamplerConfig.model_validate(settings.samples.sampler.model_dump() | overrides)
    artefacts = {name: parts.get(name, zoo_folder / name) for name in ("vae", "whisper", "text_encoder")}
    sampler = Sampler(run, load_vae(artefacts["vae"], run).to(device), sampler_config, device, settings.seed)
    text, vai = emotion_of(request, run, artefacts["text_encoder"])
    audio = read_audio(request.audio, RATE)
    frames = len(audio) // SAMPLES_PER_FRAME
    if frames < 1:
        raise EadbenchError("the speech is shorter than one frame", request.audio)
    face = track_face(
        source,
        frames,
        settings.clips,
        max(settings.clips.size, run.size),
        still=request.video is None or is_image(source),
    )
    if face.frames < frames:
        log.warning(
            "the video has %d frames, the speech %d: the result ends with the video", face.frames, frames
        )
    audio = fit_length(audio, face.frames)
    reference = reference_frames(face, REFERENCE_SECONDS * FPS)
    clip = RenderClip(
        name=str(source.name),
        frames=face.aligned(),
        count=face.frames,
        reference=reference,
        reference_at=len(reference) // 2,  # as in training, the reference is not the frame itself
        audio=states_of(audio, run, artefacts["whisper"], device),
        text=text,
        vai=vai,
    )
    tags = {
        "comment": SYNTHETIC_MARK,
        "description": f"emotion: {request.text or request.emotion or 'none'}; run: {run_folder.name}",
    }
    crf, preset = settings.samples.crf, settings.samples.preset
    with VideoWriter(out, FPS, crf=crf, preset=preset, audio=audio, rate=RATE, metadata=tags) as writer:
        frames = paste_frames(face, sampler.render(clip), run.mask)
        for image in track(frames, "render", total=face.frames, unit="frames"):
            writer.add(image)
    seconds = time.perf_counter() - started
    log.info("%s: %d frames in %.1f s (%.2f frames/s)", out, face.frames, seconds, face.frames / seconds)


def paste_frames(face: TrackedFace, drawn: Iterator[np.ndarray], mask: str) -> Iterator[np.ndarray]:
    """Whole frames with the drawn faces in them; those without face as they are.
    Colours were matched in the aligned frames already.
    """
    replace = 1 - mask_for(mask, face.size)[0].numpy()
    for number, (whole, aligned) in enumerate(zip(face.whole(), drawn, strict=True)):
        if face.has_face(number):
            yield paste_back(whole, aligned, face.matrix_of(number), replace, match_colour=False)
        else:
            yield whole


def emotion_of(
    request: RenderRequest, run: TrainedRun, text_encoder: Path
) -> tuple[torch.Tensor | None, tuple[float, float, float] | None]:
    """Encoded text and valence-arousal-intensity, as far as the run reads them.

    Raises:
        EadbenchError: If the run reads none of what the request gives.
    """
    sources = run.model.sources
    emotion = common_name(request.emotion) if request.emotion else None
    words = request.text or (label_texts(emotion, request.intensity)[0] if emotion else None)
    text = vai = None
    if words and "text" in sources:
        tokens, mask = zoo.load(text_encoder).encode([words])
        text = tokens[0, mask[0]]
    if "vai" in sources:
        if request.valence is not None or request.arousal is not None:
            vai = (request.valence or 0.0, request.arousal or 0.0, request.intensity)
        elif emotion:
            vai = valence_arousal_intensity(emotion, request.intensity)
    has_emotion = words or request.valence is not None or request.arousal is not None
    if has_emotion and text is None and vai is None:
        readable = ", ".join(sources[1:]) or "nothing"
        raise EadbenchError(
            "this run cannot read the emotion in that form",
            f"the run reads: {readable}",
            "name another run, or leave the emotion out",
        )
    return text, vai
