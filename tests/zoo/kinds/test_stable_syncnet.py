"""LatentSync's StableSyncNet: form of the published file, alignment, offsets."""

import cv2
import numpy as np
import pytest
import torch
from score.published import stable_syncnet_state, write_stable_syncnet

from eadbench.core.errors import EadbenchError
from eadbench.models.stable_syncnet import StableSyncNet
from eadbench.zoo import load
from eadbench.zoo.card import Card, write_card
from eadbench.zoo.kinds import stable_syncnet as evaluator_module
from eadbench.zoo.kinds.stable_syncnet import (
    POINTS,
    SIDE,
    STRETCH,
    TEMPLATE,
    StableSyncEvaluator,
    alignment,
    face_of,
)

PUBLISHED = {
    "audio": ([32, 64, 128, 256, 512, 1024, 2048], {3, 4}),
    "visual": ([64, 128, 256, 256, 512, 1024, 2048, 2048], {4, 5}),
}


def test_at_the_published_size_names_and_shapes_are_those_of_the_file():
    with torch.device("meta"):
        net = StableSyncNet(
            *(
                [(c, k in stages_with_attention) for k, c in enumerate(cs)]
                for cs, stages_with_attention in PUBLISHED.values()
            )
        )
    state = net.state_dict()
    assert sum(value.numel() for value in state.values()) == 401_306_080
    assert state["visual_encoder.conv_in.weight"].shape == (64, 48, 3, 3)
    assert state["audio_encoder.down_blocks.4.attn.to_out.0.weight"].shape == (256, 256)
    assert state["visual_encoder.down_blocks.5.ff.net.0.proj.weight"].shape == (4096, 512)
    assert "visual_encoder.down_blocks.8.conv1.weight" in state
    assert "visual_encoder.norm_out.bias" in state
    again = StableSyncNet.like(state)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in state.items()}


def test_a_file_of_the_published_form_is_loaded_and_another_refused(tmp_path):
    write_stable_syncnet(tmp_path)
    card = Card(
        artefact="s",
        kind="stable_syncnet",
        how="fetched",
        id="stable-syncnet",
        source="",
        licence="",
        files={},
    )
    write_card(tmp_path, card)
    evaluator = load(tmp_path)
    lips, audio = (
        evaluator.net.embed_lips(torch.rand(2, 48, 128, 256)),
        evaluator.net.embed_audio(torch.rand(1, 1, 80, 52)),
    )
    assert lips.shape == (2, 64) and audio.shape == (1, 64)
    assert lips.norm(dim=1).tolist() == pytest.approx([1, 1]) and (lips >= 0).all()
    state = stable_syncnet_state()
    state.pop("visual_encoder.down_blocks.9.conv1.weight")
    for broken, message in (
        ({"state_dict": state}, "7 stages of the visual encoder"),
        ({"model": 1}, "no entry"),
    ):
        torch.save(broken, tmp_path / evaluator_module.OFFICIAL)
        with pytest.raises(EadbenchError, match=message):
            load(tmp_path)


def marks_at(centres: np.ndarray) -> np.ndarray:
    points = np.zeros((478, 2), np.float32)
    for group, centre in zip(POINTS, centres, strict=True):
        points[list(group)] = centre
    return points


def test_the_alignment_brings_brows_and_nose_to_the_template():
    rotation = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    centres = 2.5 * TEMPLATE @ rotation.T + [40, 60]
    aligned = np.column_stack([centres, np.ones(3)]) @ alignment(centres).T
    assert aligned == pytest.approx(TEMPLATE * STRETCH, abs=1e-9)
    frame = np.zeros((400, 400, 3), np.uint8)
    cv2.circle(frame, tuple(int(x) for x in centres[2]), 12, (255, 255, 255), -1)
    face = face_of(frame, marks_at(centres))
    rows, columns = np.nonzero(face[..., 0] > 128)
    assert (columns.mean(), rows.mean()) == pytest.approx(TEMPLATE[2] * STRETCH, abs=1.5)


class Echo:
    """Embeds windows by their course: lips by brightness, audio by loudness."""

    def eval(self):
        return self

    to = eval

    def __init__(self):
        self.to = lambda device: self

    def embed_lips(self, frames):
        course = frames.unflatten(1, (16, 3)).mean((2, 3, 4))
        return torch.nn.functional.normalize(course - course.mean(1, keepdim=True), dim=1)

    def embed_audio(self, mel):
        course = torch.nn.functional.interpolate(mel.mean((1, 2))[:, None], 16, mode="linear")[:, 0]
        return torch.nn.functional.normalize(course - course.mean(1, keepdim=True), dim=1)


@pytest.mark.parametrize("early", [0, 4, -6])
def test_the_offset_is_positive_when_the_audio_leads(early):
    rng = np.random.default_rng(1)
    light = rng.uniform(0.1, 1, 120)
    centres = TEMPLATE * STRETCH
    frames = np.stack([np.full((SIDE, SIDE, 3), round(230 * b), np.uint8) for b in light])
    audio = rng.standard_normal((120, 640)) * 10 ** (2 * np.roll(light, -early)[:, None] - 3)
    stream = StableSyncEvaluator(Echo()).stream(audio.ravel().astype(np.float32))
    marks = np.repeat(marks_at(centres)[None], 120, 0)
    for start in range(0, 120, 11):
        stream.add(frames[start : start + 11], marks[start : start + 11])
    result = stream.result()
    assert result["offset"] == early
    assert (result["similarity"] > 0.6) == (early == 0)


def test_windows_without_a_face_do_not_count_and_too_little_is_refused():
    frames, centres = np.zeros((60, SIDE, SIDE, 3), np.uint8), TEMPLATE * STRETCH
    marks = np.repeat(marks_at(centres)[None], 60, 0)
    marks[30] = np.nan
    audio = np.random.default_rng(0).standard_normal(60 * 640).astype(np.float32)
    evaluator = StableSyncEvaluator(Echo())
    stream = evaluator.stream(audio)
    stream.add(frames, marks)
    assert stream._starts == [0, 4, 8, 12, 32, 36, 40, 44] and stream.similarities().shape == (8, 31)
    for length, audio_frames in ((15, 60), (60, 15)):
        stream = evaluator.stream(audio[: audio_frames * 640])
        stream.add(frames[:length], marks[:1].repeat(length, 0))
        with pytest.raises(EadbenchError, match="too short for StableSyncNet"):
            stream.result()
