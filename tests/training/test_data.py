"""Order and contents of training samples."""

from pathlib import Path

import numpy as np
import pytest
import torch

from eadbench.core.errors import EadbenchError
from eadbench.features.store import FeatureStore
from eadbench.models.conditioning import ConditionEncoder, audio_windows
from eadbench.models.config import EADNetConfig, SyncNetConfig
from eadbench.training.config import DiffusionConfig
from eadbench.training.data import (
    EADNetWindows,
    StepSampler,
    Stream,
    SyncWindows,
    Wav2LipWindows,
    audio_slice,
    collate,
    loader,
    recoloured,
    reference_start,
)

MODEL = EADNetConfig(
    frames=4,
    block_channels=(16, 16),
    attention_levels=(1,),
    heads=2,
    norm_groups=8,
    audio_dim=16,
    audio_layers=2,
    text_dim=12,
)
PLAIN = DiffusionConfig(vector_alone=0, other_reference=0)
SYNC = SyncNetConfig(
    image_size=32, frames=3, visual_channels=(8, 8), audio_channels=(8, 8), embedding=16, attention_from=None
)


@pytest.fixture(scope="module")
def store(tiny_features: Path) -> FeatureStore:
    return FeatureStore([tiny_features])


def windows(store: FeatureStore, run: str = "r", **options) -> EADNetWindows:
    return EADNetWindows(store, Stream(1, run, "train"), MODEL, PLAIN, 2, **options)


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a)


def test_a_sample_depends_on_its_number_alone(store: FeatureStore) -> None:
    forwards, backwards = windows(store), windows(store)
    alone = [forwards[k] for k in range(9)]
    other = [backwards[k] for k in reversed(range(9))][::-1]
    assert all(same(a, b) for a, b in zip(alone, other, strict=True))
    assert not same(alone[0], windows(store, run="another")[0])
    assert not torch.equal(alone[0]["noise"], alone[3]["noise"])


def test_every_clip_comes_once_per_epoch(store: FeatureStore) -> None:
    data = windows(store)
    names = [data[k]["clip_id"] for k in range(12)]
    assert len(data.clips) == 3 and all(len(set(names[k : k + 3])) == 3 for k in (0, 3, 6, 9))
    assert len({tuple(names[k : k + 3]) for k in (0, 3, 6, 9)}) > 1, "epochs differ in order"


def test_conditions_belong_to_the_frames(store: FeatureStore) -> None:
    data = windows(store, clean_every=1, clean_frames=4, sync=SYNC)
    for number in range(6):
        sample = data[number]
        row = store.row(sample["clip_id"])
        latents = store.get(row, "latents").float()
        start = next(s for s in range(47) if torch.equal(latents[s : s + 4], sample["clean"]))
        assert torch.equal(sample["masked"], store.get(row, "masked", start, start + 4).float())
        assert torch.equal(sample["frames"], store.get(row, "frames", start, start + 4))
        assert torch.equal(
            sample["audio"], audio_windows(store.get(row, "audio").float(), 50)[start : start + 4]
        )
        assert torch.equal(
            sample["sync_mels"][0], store.get(row, "mel").float()[:, round(3.2 * start) :][:, :10]
        )
        assert not any(
            torch.equal(sample["reference"], latents[s : s + 4])
            for s in range(start - 3, start + 4)
            if s >= 0
        ), "no overlap"


@pytest.mark.parametrize("start", [0, 1, 20, 45, 46])
def test_audio_slices_equal_windows_of_the_whole_clip(store: FeatureStore, start: int) -> None:
    row = store.clips[0]
    whole = audio_windows(store.get(row, "audio").float(), 50)
    assert torch.equal(audio_slice(store, row, start, 4, 2, 2), whole[start : start + 4])


def test_reference_window_does_not_overlap_where_it_can_avoid_it() -> None:
    rng = np.random.default_rng(0)
    for total in (8, 9, 30):
        for start in range(total - 3):
            drawn = {reference_start(start, 4, total, rng) for _ in range(50)}
            assert all(0 <= other <= total - 4 for other in drawn)
            if start >= 4 or total - start >= 8:
                assert all(abs(other - start) >= 4 for other in drawn)
    assert reference_start(0, 4, 6, rng) == 2 and reference_start(2, 4, 6, rng) == 0


def test_reference_may_be_another_clip_of_the_speaker(store: FeatureStore) -> None:
    data = EADNetWindows(
        store, Stream(1, "r", "train"), MODEL, DiffusionConfig(vector_alone=0, other_reference=1.0), 2
    )
    elsewhere = 0
    for number in range(9):
        sample = data[number]
        row = store.row(sample["clip_id"])
        others = [clip for clip in data.clips if clip.speaker == row.speaker and clip.clip_id != row.clip_id]
        own = store.get(row, "latents").float()
        assert any(torch.equal(own[s : s + 4], sample["reference"]) for s in range(47)) == (not others)
        for other in others:
            latents = store.get(other, "latents").float()
            assert any(torch.equal(latents[s : s + 4], sample["reference"]) for s in range(47))
            elsewhere += 1
    assert elsewhere


def test_dropout_is_independent_and_as_often_as_asked(store: FeatureStore) -> None:
    data = EADNetWindows(
        store,
        Stream(1, "r", "train"),
        MODEL,
        DiffusionConfig(drop_audio=0.3, drop_text=0.3, vector_alone=0, other_reference=0),
        2,
    )
    drops = np.array([[s["drop_audio"], s["drop_text"]] for s in (data[k] for k in range(400))])
    assert np.allclose(drops.mean(0), 0.3, atol=0.08) and abs(np.corrcoef(drops.T)[0, 1]) < 0.15


def test_clean_sample_data_comes_on_its_steps_only(store: FeatureStore) -> None:
    data = windows(store, clean_every=3, clean_frames=4, sync=SYNC)
    assert [("frames" in data[k]) for k in range(12)] == [False] * 4 + [True] * 2 + [False] * 4 + [True] * 2


def test_the_vector_comes_alone_where_there_is_one(store: FeatureStore) -> None:
    data = EADNetWindows(
        store, Stream(1, "r", "train"), MODEL, DiffusionConfig(vector_alone=1.0, other_reference=0), 2
    )
    for sample in (data[k] for k in range(len(data.clips))):
        assert (sample["text"] is None) == bool(sample["vai"].isfinite().all())
    assert all(data[k]["text"] is not None for data in [windows(store)] for k in range(len(data.clips)))


def test_texts_are_padded_and_missing_ones_are_the_null_text(store: FeatureStore) -> None:
    samples = [windows(store)[k] for k in range(3)]
    samples[1]["text"] = None
    batch = collate(samples)
    assert batch["text"].shape[0] == 3 and batch["text_mask"].sum(1).tolist() == [
        len(samples[0]["text"]),
        0,
        len(samples[2]["text"]),
    ]
    assert collate([s | {"text": None} for s in samples])["text"] is None
    encoder = ConditionEncoder(MODEL)
    context = encoder(batch["audio"], batch["text"], batch["text_mask"], batch["vai"])
    assert (
        torch.equal(context.text[1], encoder.null_text.expand_as(context.text[1]))
        and context.text_mask[1].all()
    )
    assert not torch.equal(context.text[0, 0], encoder.null_text)


def test_an_unknown_emotion_is_the_null_vector_not_the_neutral_one(store: FeatureStore) -> None:
    encoder = ConditionEncoder(MODEL)
    vai = torch.tensor([[float("nan")] * 3, [0.0, 0.0, 0.0]])
    tokens = encoder(torch.zeros(2, 4, MODEL.audio_tokens, 16), vai=vai).vai
    assert torch.equal(tokens[0], encoder.null_vai) and not torch.equal(tokens[1], encoder.null_vai)
    assert torch.isfinite(tokens).all()
    tokens.square().sum().backward()
    assert torch.isfinite(encoder.vai_proj[0].weight.grad).all()


def test_sync_windows_are_distinct_places_of_one_clip(store: FeatureStore) -> None:
    data = SyncWindows(store, Stream(1, "r", "train"), SYNC, 6, augment=False)
    sample = data[0]
    assert sample["windows"].shape == (6, 3, 3, 16, 32) and sample["sync_mels"].shape == (6, 80, 10)
    frames = store.get(store.row(sample["clip_id"]), "frames")[:, :, 16:]
    places = [next(s for s in range(48) if torch.equal(frames[s : s + 3], w)) for w in sample["windows"]]
    assert len(set(places)) == 6
    assert sample["windows"].dtype == torch.uint8, (
        "a batch of the paper's size would be 1.6 GB in float32, and dozens wait"
    )
    plain = recoloured(collate([sample]))
    assert torch.equal(plain[0], sample["windows"].float() / 127.5 - 1)
    changed = recoloured(collate([SyncWindows(store, Stream(1, "r", "train"), SYNC, 6, augment=True)[0]]))
    assert not torch.equal(changed, plain) and changed.abs().max() <= 1


def test_wav2lip_sees_the_audio_of_each_frame(store: FeatureStore) -> None:
    sample = Wav2LipWindows(store, Stream(1, "r", "train"), 5, SYNC, 6)[0]
    assert sample["mels"].shape == (5, 1, 80, 16) and sample["sync_mels"].shape == (3, 80, 10)
    assert sample["others"].shape == (6, 80, 10)
    assert not any(torch.equal(a, b) for a in sample["others"] for b in sample["sync_mels"]), "other moments"
    assert sample["frames"].shape == sample["reference"].shape == (5, 3, 32, 32)


def test_processes_and_passes_share_the_numbers_of_a_step() -> None:
    whole = list(StepSampler(3, 4, 8))
    assert whole == [list(range(16, 24)), list(range(24, 32))]
    shares = [list(StepSampler(3, 4, 8, passes=2, rank=r, world=2)) for r in (0, 1)]
    for step in (0, 1):
        together = [n for rank in shares for part in rank[2 * step : 2 * step + 2] for n in part]
        assert sorted(together) == whole[step]
    assert len(StepSampler(3, 4, 8, passes=2)) == 4
    with pytest.raises(EadbenchError, match="cannot be split"):
        StepSampler(1, 1, 6, passes=2, world=2)


def test_loader_gives_the_batches_of_its_sampler(store: FeatureStore) -> None:
    data = windows(store)
    batches = list(loader(data, StepSampler(2, 3, 2), 0, 2, False))
    assert [b["number"].tolist() for b in batches] == [[2, 3], [4, 5]]
    assert torch.equal(batches[0]["clean"][0], data[2]["clean"])


def test_too_short_clips_are_refused_with_the_numbers(store: FeatureStore) -> None:
    with pytest.raises(EadbenchError, match="none with 60 frames"):
        EADNetWindows(store, Stream(1, "r", "train"), MODEL.model_copy(update={"frames": 60}), PLAIN, 2)
