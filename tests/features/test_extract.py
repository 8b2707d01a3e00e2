"""Extraction and merging: contents, resume, shards, failures."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from eadbench import zoo
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.tables import read_table, write_table
from eadbench.features import extract as module
from eadbench.features.config import FeaturesConfig
from eadbench.features.extract import extract
from eadbench.features.merge import merge
from eadbench.features.store import FeatureStore
from eadbench.models.frames import normalise
from eadbench.zoo.kinds.vae import decode, encode

CONFIG = FeaturesConfig(size=32, whisper_padding=False)
CPU = torch.device("cpu")


def test_every_clip_has_a_row_and_tensors_of_the_stated_shapes(tiny_features: Path, tiny_clips: Path) -> None:
    index = read_table(tiny_features, schemas.FEATURES)
    assert set(index["clip_id"]) == set(read_table(tiny_clips, schemas.CLIPS)["clip_id"])
    store = FeatureStore([tiny_features])
    row = store.clips[0]
    shapes = {
        kind: (tuple(store.get(row, kind).shape), store.get(row, kind).dtype)
        for kind in ("latents", "masked", "frames", "audio", "mel")
    }
    assert shapes == {
        "latents": ((50, 4, 8, 8), torch.float16),
        "masked": ((50, 4, 8, 8), torch.float16),
        "frames": ((50, 3, 32, 32), torch.uint8),
        "audio": ((100, 2, 16), torch.float16),
        "mel": ((80, 161), torch.float16),
    }
    assert torch.equal(store.get(row, "latents", 10, 20), store.get(row, "latents")[10:20])
    assert torch.equal(store.get(row, "mel", 10, 20), store.get(row, "mel")[:, 10:20])


def test_latents_are_those_of_the_frames(tiny_features: Path, tiny_parts: dict[str, Path]) -> None:
    store, vae = FeatureStore([tiny_features]), zoo.load(tiny_parts["vae"])
    row = store.clips[1]
    frames = normalise(store.get(row, "frames", 0, 4))
    assert torch.allclose(store.get(row, "latents", 0, 4).float(), encode(vae, frames), atol=5e-3)
    hidden = module.masked_frames(frames, "face")
    assert torch.allclose(store.get(row, "masked", 0, 4).float(), encode(vae, hidden), atol=5e-3)
    assert (hidden == 0).any() and (hidden[..., 0] == frames[..., 0]).all()
    assert decode(vae, encode(vae, frames)).shape == frames.shape


def test_a_test_clip_has_the_features_of_its_audio_alone(tiny_features: Path) -> None:
    store = FeatureStore([tiny_features])
    row = next(row for row in store.clips if row.split == "test")
    assert row.frames == 50
    assert store.get(row, "audio").shape == (100, 2, 16) and store.get(row, "mel").shape == (80, 161)
    with pytest.raises(EadbenchError, match="test clips have audio and mel alone"):
        store.get(row, "latents")


def test_a_shard_of_test_clips_alone_tells_how_it_was_made(
    tiny_clips: Path, tiny_parts: dict[str, Path], tmp_path: Path
) -> None:
    clips = shutil.copytree(tiny_clips.parent, tmp_path / "clips") / tiny_clips.name
    write_table(clips, read_table(clips, schemas.CLIPS).assign(split="test"), schemas.CLIPS)
    extract(clips, "0-of-1", tiny_parts, CONFIG, tmp_path / "f" / "features.parquet", CPU)
    merge([tmp_path / "f" / "features.parquet"], clips, tmp_path / "index.parquet")
    store = FeatureStore([tmp_path / "index.parquet"])
    assert store.facts()["size"] == "32" and not load_file(tmp_path / "f" / "latents.safetensors")
    store.verify()


def test_captions_decide_what_trains(tiny_features: Path) -> None:
    index = read_table(tiny_features, schemas.FEATURES).set_index("clip_id")
    assert not index["trains"].iloc[0], "its caption was dropped"
    assert index["trains"].iloc[1:4].all()
    assert not index["trains"].iloc[4:].any(), "test split"
    assert index["text_id"].isna().tolist() == [False] * 5 + [True]


def test_shards_leave_no_trace(
    tiny_clips: Path, tiny_parts: dict[str, Path], tiny_features: Path, tmp_path: Path
) -> None:
    extract(tiny_clips, "0-of-1", tiny_parts, CONFIG, tmp_path / "one" / "features.parquet", CPU)
    merge([tmp_path / "one" / "features.parquet"], tiny_clips, tmp_path / "index.parquet")
    merged, single = FeatureStore([tmp_path / "index.parquet"]), FeatureStore([tiny_features])
    assert [row.clip_id for row in merged.clips] == [row.clip_id for row in single.clips]
    for a, b in zip(merged.clips, single.clips, strict=True):
        if a.split != "test":
            assert torch.equal(merged.get(a, "latents"), single.get(b, "latents"))
        assert torch.equal(merged.get(a, "audio"), single.get(b, "audio"))
    assert sum(row.trains for row in merged.clips) == 4, "without captions every training clip trains"


def test_same_bytes_and_nothing_left_behind(
    tiny_clips: Path, tiny_parts: dict[str, Path], tmp_path: Path
) -> None:
    for name in "ab":
        extract(tiny_clips, "0-of-2", tiny_parts, CONFIG, tmp_path / name / "features.parquet", CPU)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    stores = [
        "audio.safetensors",
        "features.parquet",
        "frames.safetensors",
        "latents.safetensors",
        "mel.safetensors",
    ]
    assert files == [*stores, "provenance.json", "sums.sha256"]
    for file in [*stores, "sums.sha256"]:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_killed_shard_goes_on(
    tiny_clips: Path,
    tiny_parts: dict[str, Path],
    tiny_features: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work, done = module.Networks.features, []

    def killed_at_third(self, clip):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(clip.video)
        return work(self, clip)

    monkeypatch.setattr(module.Networks, "features", killed_at_third)
    out = tmp_path / "features.parquet"
    with pytest.raises(KeyboardInterrupt):
        extract(tiny_clips, "0-of-1", tiny_parts, CONFIG, out, CPU)
    assert not out.exists() and len(list((tmp_path / "parts").glob("*.safetensors"))) == 2
    again = []
    monkeypatch.setattr(
        module.Networks,
        "features",
        lambda self, clip: again.append(clip.video) or work(self, clip),
    )
    extract(tiny_clips, "0-of-1", tiny_parts, CONFIG, out, CPU)
    assert len(again) == 4 and not set(again) & set(done)
    row = FeatureStore([tiny_features]).clips[0]
    assert torch.equal(
        load_file(tmp_path / "latents.safetensors")[row.clip_id],
        FeatureStore([tiny_features]).get(row, "latents"),
    )


@pytest.mark.parametrize(("change", "kept"), [({}, 2), ({"mask": "mouth"}, 0), ("a flipped bit", 1)])
def test_only_parts_of_the_same_settings_and_bytes_are_taken_over(
    tiny_clips: Path,
    tiny_parts: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict | str,
    kept: int,
) -> None:
    work, out = module.Networks.features, tmp_path / "features.parquet"
    done: list[Path] = []

    def counted(self, clip):
        if len(done) == stop:
            raise KeyboardInterrupt
        done.append(clip.video)
        return work(self, clip)

    monkeypatch.setattr(module.Networks, "features", counted)
    stop = 2
    with pytest.raises(KeyboardInterrupt):
        extract(tiny_clips, "0-of-1", tiny_parts, CONFIG, out, CPU)
    if isinstance(change, str):
        part = min((tmp_path / "parts").glob("*.safetensors"))
        data = bytearray(part.read_bytes())
        data[-1] ^= 1
        part.write_bytes(data)
    stop = 99
    extract(
        tiny_clips,
        "0-of-1",
        tiny_parts,
        CONFIG.model_copy(update={} if isinstance(change, str) else change),
        out,
        CPU,
    )
    assert len(done) == 2 + 6 - kept


def damaged(tiny_clips: Path, folder: Path, names: list[str]) -> Path:
    shutil.copytree(tiny_clips.parent, folder)
    for name in names:
        (folder / "videos" / f"{name}.mp4").write_bytes(b"not a video")
        (folder / "audio" / f"{name}.wav").write_bytes(b"not audio")
    return folder / "clips.parquet"


def test_a_damaged_clip_costs_itself(tiny_clips: Path, tiny_parts: dict[str, Path], tmp_path: Path) -> None:
    rows = read_table(tiny_clips, schemas.CLIPS)
    table = damaged(tiny_clips, tmp_path / "clips", [rows["clip_id"][2]])
    rows.loc[3, ["status", "reason"]] = "dropped", "sync"
    write_table(table, rows, schemas.CLIPS)
    extract(table, "0-of-1", tiny_parts, CONFIG, tmp_path / "features.parquet", CPU)
    features = read_table(tmp_path / "features.parquet", schemas.FEATURES).set_index("clip_id")
    assert features["status"].tolist() == ["kept", "kept", "failed", "dropped", "kept", "kept"]
    assert features["reason"].iloc[3] == "clips: dropped: sync" and features["reason"].iloc[2]


def test_an_error_nobody_thought_of_costs_its_clip_and_no_memory_ends_the_job(
    tiny_clips: Path, tiny_parts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = read_table(tiny_clips, schemas.CLIPS)["clip_id"][2]
    real, error = module.Networks.features, ValueError("bad shape")

    def features(self, clip):
        if clip.clip_id == name:
            raise error
        return real(self, clip)

    monkeypatch.setattr(module.Networks, "features", features)
    extract(tiny_clips, "0-of-1", tiny_parts, CONFIG, tmp_path / "a/features.parquet", CPU)
    table = read_table(tmp_path / "a/features.parquet", schemas.FEATURES).set_index("clip_id")
    assert (
        table["reason"][name] == "unexpected ValueError: bad shape"
        and (table["status"] == "failed").sum() == 1
    )
    error = MemoryError()
    with pytest.raises(FatalError, match="out of memory"):
        extract(tiny_clips, "0-of-1", tiny_parts, CONFIG, tmp_path / "b/features.parquet", CPU)
    assert not (tmp_path / "b/features.parquet").exists()


def test_all_damaged_is_a_failed_job(tiny_clips: Path, tiny_parts: dict[str, Path], tmp_path: Path) -> None:
    table = damaged(tiny_clips, tmp_path / "clips", read_table(tiny_clips, schemas.CLIPS)["clip_id"].tolist())
    with pytest.raises(EadbenchError, match="all 6 clips failed"):
        extract(table, "0-of-1", tiny_parts, CONFIG, tmp_path / "features.parquet", CPU)
    assert not (tmp_path / "features.parquet").exists()


def test_bad_calls_say_what_to_do(
    tiny_clips: Path, tiny_parts: dict[str, Path], tiny_features: Path, tmp_path: Path
) -> None:
    with pytest.raises(EadbenchError, match="'whisper' was not given"):
        extract(tiny_clips, "0-of-1", {"vae": tiny_parts["vae"]}, CONFIG, tmp_path / "f.parquet", CPU)
    with pytest.raises(EadbenchError, match="multiple of the VAE's reduction 4"):
        extract(
            tiny_clips,
            "0-of-1",
            tiny_parts,
            CONFIG.model_copy(update={"size": 30}),
            tmp_path / "f.parquet",
            CPU,
        )
    with pytest.raises(EadbenchError, match="are in no shard"):
        merge(
            [tiny_features.parent / "shards/0-of-2/features.parquet"], tiny_clips, tmp_path / "index.parquet"
        )


def test_lost_shards_and_clips_are_named(tiny_features: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_features.parent, tmp_path / "f")
    index = tmp_path / "f" / "index.parquet"
    store = FeatureStore([index])
    row = store.clips[0]
    with pytest.raises(EadbenchError, match="not in its feature shard"):
        store.get(replace(row, clip_id="nobody"), "latents")
    with pytest.raises(EadbenchError, match="has no features"):
        store.row("nobody")
    for file in (tmp_path / "f").rglob("latents.safetensors"):
        file.unlink()
    from eadbench.features.store import _open

    _open.cache_clear()
    with pytest.raises(FatalError, match=r"gone(.|\n)*latents\.safetensors"):
        store.get(row, "latents")


def test_empty_index_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "index.parquet", [], schemas.FEATURES)
    with pytest.raises(EadbenchError, match="no kept clip"):
        FeatureStore([tmp_path / "index.parquet"])
