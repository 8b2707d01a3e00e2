import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf
from diffusers import AutoencoderKL

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.files import sha256_of
from eadbench.core.tables import write_table
from eadbench.zoo import load
from eadbench.zoo.card import Card, write_card
from eadbench.zoo.config import ArtefactConfig, ZooConfig
from eadbench.zoo.fetch import fetch_files
from eadbench.zoo.kinds import vae
from eadbench.zoo.kinds.text_encoder import make_tokenizer
from eadbench.zoo.make import ArtefactInputs, make
from eadbench.zoo.registry import cached_folder, registry
from eadbench.zoo.text_data import training_texts

SUBJECTS = ["mouth corners", "inner brows", "upper lids", "lower lids", "lips"]
MOODS = {
    "happy": "pulled up in a joyful smile",
    "sad": "drooping with sorrow",
    "angry": "tightened in furious rage",
}
TEXTS = {
    mood: [f"The {s} are {how} and the person looks {mood}." for s in SUBJECTS] for mood, how in MOODS.items()
}


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    path = tmp_path_factory.mktemp("captions") / "written.parquet"
    rows = [(text, "train", "kept") for texts in TEXTS.values() for text in texts]
    rows += [
        ("A secret of the test split.", "test", "kept"),
        (None, "train", "failed"),
        (rows[0][0], "train", "kept"),
    ]
    table = [
        {
            "clip_id": f"c{k}",
            "corpus": "x",
            "captioner": "m",
            "caption": text,
            "split": split,
            "status": status,
            "reason": "",
        }
        for k, (text, split, status) in enumerate(rows)
    ]
    write_table(path, table, schemas.CAPTIONS)
    return path


def build(folder, kind, captions, seed=1, **options):
    zoo = ZooConfig(
        artefacts={kind: ArtefactConfig(kind=kind, how="trained", uses_captions=True, options=options)}
    )
    make(kind, zoo, seed, ArtefactInputs(captions=[captions]), folder)
    return load(folder)


def fetched(folder, kind, **more):
    """A card for files that are there, as if they had been fetched."""
    files = {p.name: sha256_of(p) for p in folder.iterdir() if p.name not in ("card.json", "sums.sha256")}
    write_card(
        folder,
        Card(
            artefact=kind,
            kind=kind,
            how="fetched",
            id="tiny",
            source="here",
            licence="none",
            files=files,
            **more,
        ),
    )
    return load(folder)


def tokenizer():
    return make_tokenizer([t for texts in TEXTS.values() for t in texts], 200)


def test_training_texts_are_distinct_and_of_the_train_split(captions):
    texts = training_texts([captions])
    assert texts == sorted({t for group in TEXTS.values() for t in group})
    assert len(training_texts([captions, captions], limit=4)) == 4
    with pytest.raises(EadbenchError, match="no captions"):
        training_texts([])


@pytest.mark.parametrize(
    ("kind", "options"),
    [("sentence", {}), ("text_encoder", {"model": "lsa"}), ("text_encoder", {"model": "t5", "steps": 15})],
)
def test_like_moods_are_nearer_than_unlike_ones(tmp_path, captions, kind, options):
    vectors = {
        mood: build(tmp_path / kind, kind, captions, **options).embed(texts) for mood, texts in TEXTS.items()
    }
    for mood, own in vectors.items():
        torch.testing.assert_close(own.norm(dim=1), torch.ones(len(own)))
        like = (own @ own.T).fill_diagonal_(0).sum() / (len(own) * (len(own) - 1))
        for other in vectors.keys() - {mood}:
            assert like > (own @ vectors[other].T).mean() + 0.05


@pytest.mark.parametrize(
    ("kind", "options"),
    [("sentence", {}), ("text_encoder", {"model": "lsa"}), ("text_encoder", {"model": "t5", "steps": 3})],
)
def test_training_twice_gives_the_same_bytes_without_pickle(tmp_path, captions, kind, options):
    for name in ("a", "b"):
        build(tmp_path / name, kind, captions, **options)
    cards = [Card.model_validate_json((tmp_path / name / "card.json").read_text()) for name in ("a", "b")]
    assert cards[0].files == cards[1].files
    assert {name.rpartition(".")[2] for name in cards[0].files} == {"safetensors", "json"}


def test_lsa_read_back_is_the_fitted_one_of_scikit_learn(tmp_path, captions):
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    from eadbench.zoo.lsa import WORD

    embedder = build(tmp_path, "sentence", captions, dim=4, ngrams=2)
    texts = training_texts([captions])
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), token_pattern=WORD, sublinear_tf=True)
    weighted = vectorizer.fit_transform(texts)
    reference = TruncatedSVD(4, n_iter=30, random_state=0).fit(weighted).transform(weighted)
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    ours = embedder.embed(texts).numpy()
    np.testing.assert_allclose(ours @ ours.T, reference @ reference.T, atol=2e-3)


@pytest.mark.parametrize("options", [{"model": "lsa"}, {"model": "t5", "steps": 2}])
def test_tokens_do_not_depend_on_company_and_padding_is_zero(tmp_path, captions, options):
    encoder = build(tmp_path, "text_encoder", captions, **options)
    texts = [TEXTS["sad"][0], "The lips.", "", "qqq zzz"]
    tokens, mask = encoder.encode(texts)
    assert tokens.shape == (4, mask.shape[1], encoder.dim)
    assert tokens.dtype == torch.float32
    assert mask.dtype == torch.bool
    assert (mask.sum(1) >= 1).all()
    assert (tokens[~mask] == 0).all()
    for k, text in enumerate(texts):
        alone, own = encoder.encode([text])
        torch.testing.assert_close(alone[0], tokens[k][mask[k]], atol=1e-5, rtol=1e-4)
        assert own.all()
    empty, none = encoder.encode([])
    assert empty.shape[0] == none.shape[0] == 0
    assert encoder.embed([]).shape[0] == 0


def test_tokenizer_knows_words_whole_and_spells_the_rest():
    words = tokenizer()
    assert words.tokenize("The lips, joyful") == ["▁the", "▁lips", ",", "▁joyful"]
    spelt = words.tokenize("zebra")
    assert len(spelt) > 1
    assert words.decode(words("the zebra smile", add_special_tokens=False)["input_ids"]) == "the zebra smile"
    assert words.unk_token_id not in words("the zebra 42")["input_ids"]
    assert words("lips")["input_ids"][-1] == words.eos_token_id


def test_t5_folder_of_transformers_loads(tmp_path):
    torch.manual_seed(0)
    words = tokenizer()
    config = tf.T5Config(vocab_size=len(words), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    model = tf.T5ForConditionalGeneration(config).eval()  # published folders hold the decoder, too
    model.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    encoder = fetched(tmp_path, "text_encoder")
    text = TEXTS["angry"][0]
    tokens, mask = encoder.encode([text, "The lips are drooping."])
    token_ids = words(text, return_tensors="pt")
    with torch.no_grad():
        reference = model.encoder(input_ids=token_ids["input_ids"]).last_hidden_state[0]
    torch.testing.assert_close(tokens[0][mask[0]], reference, atol=1e-5, rtol=1e-4)


def test_sentence_folder_of_transformers_is_mean_pooled(tmp_path):
    torch.manual_seed(0)
    words = tokenizer()
    config = tf.BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
    )
    model = tf.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    embedder = fetched(tmp_path, "sentence")
    texts = [*TEXTS["angry"], "Lips."]
    with torch.no_grad():
        states = [model(**words(t, return_tensors="pt")).last_hidden_state[0].mean(0) for t in texts]
    torch.testing.assert_close(
        embedder.embed(texts), torch.nn.functional.normalize(torch.stack(states), dim=1), atol=1e-5, rtol=1e-4
    )


def test_clip_folder_of_transformers_gives_its_cosines(tmp_path):
    torch.manual_seed(0)
    words = tokenizer()
    text = {
        "vocab_size": len(words),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    text |= {
        "max_position_embeddings": 40,
        "eos_token_id": words.eos_token_id,
        "bos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    }
    model = tf.CLIPModel(tf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).eval()
    image_processor = tf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = tf.CLIPProcessor(image_processor, words)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    embedder = fetched(tmp_path, "clip")
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 48, 3), dtype=np.uint8)
    texts = ["The lips are drooping.", " ".join(TEXTS["sad"])]  # the second is longer than the model can take
    cosines = embedder.embed_images(frames) @ embedder.embed_texts(texts).T
    inputs = processor(text=texts[:1], images=list(frames), return_tensors="pt")
    with torch.no_grad():
        reference = model(**inputs).logits_per_image / model.logit_scale.exp()
    torch.testing.assert_close(cosines[:, :1], reference, atol=1e-5, rtol=1e-4)
    assert embedder.embed_texts(texts).shape == (2, 16)


def test_clap_folder_of_transformers_gives_its_cosines(tmp_path):
    torch.manual_seed(0)
    words = tokenizer()
    text = {
        "vocab_size": len(words),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    text |= {"max_position_embeddings": 90, "pad_token_id": words.pad_token_id, "projection_dim": 16}
    audio = {
        "spec_size": 64,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "num_mel_bins": 16,
        "window_size": 4,
        "depths": [1, 1],
        "projection_dim": 16,
    }
    audio |= {
        "patch_embeds_hidden_size": 8,
        "num_attention_heads": [1, 2],
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "enable_fusion": False,
    }
    model = tf.ClapModel(tf.ClapConfig(text_config=text, audio_config=audio, projection_dim=16)).eval()
    extractor = tf.ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=16000,
        hop_length=160,
        max_length_s=1,
        fft_window_size=400,
        truncation="rand_trunc",
    )
    processor = tf.ClapProcessor(extractor, words)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    embedder = fetched(tmp_path, "clap")
    assert embedder.rate == 16000
    rng = np.random.default_rng(0)
    waveforms = [rng.normal(0, 0.1, n).astype(np.float32) for n in (8000, 16000, 40000)]
    first, second = embedder.embed_audio(waveforms), embedder.embed_audio(waveforms)
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(3))
    assert embedder.embed_texts(["The lips.", "Rage"]).shape == (2, 16)


SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}


def small_model(kind: str):
    """A tiny network of a kind, with the fit of its class."""
    torch.manual_seed(0)
    words = {"vocab_size": len(tokenizer()), "pad_token_id": tokenizer().pad_token_id}
    ends = {"eos_token_id": tokenizer().eos_token_id, "bos_token_id": tokenizer().eos_token_id}
    image_sizes = SIZES | {"image_size": 32, "patch_size": 16}
    if kind == "text_encoder":
        return tf.T5EncoderModel(tf.T5Config(**words, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4))
    if kind == "sentence":
        return tf.BertModel(tf.BertConfig(**words, **SIZES))
    if kind == "videomae":
        return tf.VideoMAEModel(tf.VideoMAEConfig(**image_sizes, num_frames=2))
    if kind == "vae":
        return AutoencoderKL(block_out_channels=(16,), norm_num_groups=4)
    if kind == "clip":
        return tf.CLIPModel(
            tf.CLIPConfig(text_config=words | ends | SIZES, vision_config=image_sizes, projection_dim=16)
        )
    audio_config = {
        "spec_size": 64,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "num_mel_bins": 16,
        "window_size": 4,
        "depths": [1, 1],
        "projection_dim": 16,
    }
    audio_config |= {
        "patch_embeds_hidden_size": 8,
        "num_attention_heads": [1, 2],
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "enable_fusion": False,
    }
    return tf.ClapModel(
        tf.ClapConfig(
            text_config=words | SIZES | {"projection_dim": 16}, audio_config=audio_config, projection_dim=16
        )
    )


def small_folder(kind: str, folder: Path, dtype: torch.dtype) -> None:
    """It in the form in which it is published, its numbers saved as ``dtype``."""
    small_model(kind).to(dtype).save_pretrained(folder)
    if kind == "clip":
        tf.CLIPProcessor(
            tf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
            tokenizer(),
        ).save_pretrained(folder)
    elif kind == "clap":
        ears = {
            "feature_size": 16,
            "sampling_rate": 16000,
            "hop_length": 160,
            "max_length_s": 1,
            "fft_window_size": 400,
            "truncation": "rand_trunc",
        }
        tf.ClapProcessor(tf.ClapFeatureExtractor(**ears), tokenizer()).save_pretrained(folder)
    elif kind in ("text_encoder", "sentence"):
        tokenizer().save_pretrained(folder)


def use(kind: str, part) -> torch.Tensor:
    """What a part gives for something fixed."""
    rng = np.random.default_rng(0)
    if kind == "videomae":
        return part(torch.from_numpy(rng.uniform(-1, 1, (2, 2, 3, 32, 32))).float())
    if kind == "vae":
        return vae.encode(part, torch.from_numpy(rng.uniform(-1, 1, (2, 3, 32, 32))).float())
    if kind == "clip":
        return torch.cat(
            [
                part.embed_images(rng.integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)),
                part.embed_texts(["The lips."]),
            ]
        )
    if kind == "clap":
        return torch.cat(
            [
                part.embed_audio([rng.normal(0, 0.1, 16000).astype(np.float32)]),
                part.embed_texts(["The lips."]),
            ]
        )
    return part.embed(["The lips are drooping.", "Rage"])


def networks(part) -> list[torch.nn.Module]:
    return [part] if isinstance(part, torch.nn.Module) else [part.model]


@pytest.mark.parametrize("kind", ["text_encoder", "sentence", "videomae", "vae", "clip", "clap"])
def test_a_bfloat16_folder_computes_in_float32_unless_the_card_says_otherwise(tmp_path, kind):
    small_folder(kind, tmp_path / "half", torch.bfloat16)
    rounded = {
        name: tensor.float()
        for name, tensor in small_model(kind).bfloat16().state_dict().items()
        if tensor.is_floating_point()
    }
    part = fetched(tmp_path / "half", kind)
    held = {name: tensor for net in networks(part) for name, tensor in net.named_parameters()}
    assert {tensor.dtype for tensor in held.values()} == {torch.float32}
    assert sum(
        any(
            torch.equal(tensor, rounded_tensor)
            for rounded_tensor in rounded.values()
            if rounded_tensor.shape == tensor.shape
        )
        for tensor in held.values()
    ) == len(held)
    exact = use(kind, part)
    assert exact.dtype == torch.float32 and torch.isfinite(exact).all()
    assert zoo_card(tmp_path / "half")["dtype"] == "float32"
    if kind == "vae":
        with pytest.raises(ValueError, match="kind vae computes in float32"):
            ArtefactConfig(kind=kind, how="fetched", id="x", dtype="bfloat16")
        return
    coarse = use(
        kind,
        fetched(
            tmp_path / "half",
            kind,
            dtype=ArtefactConfig(kind=kind, how="fetched", id="x", dtype="bfloat16").dtype,
        ),
    )
    assert coarse.dtype == torch.float32 and not torch.equal(coarse, exact)
    torch.testing.assert_close(coarse, exact, atol=0.1, rtol=0.1)


def zoo_card(folder: Path) -> dict:
    return json.loads((folder / "card.json").read_text())


def test_damaged_folder_says_which(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EadbenchError, match="cannot read the folder"):
        fetched(tmp_path, "clip")


def test_every_snapshot_is_pinned_to_a_commit():
    pinned = {name: e.snapshot for name, e in registry().items() if e.snapshot}
    assert {"t5-base", "all-MiniLM-L6-v2", "Qwen2.5-VL-7B-Instruct", "Qwen3-VL-8B-Instruct"} <= pinned.keys()
    for name, snapshot in pinned.items():
        assert len(snapshot.revision) == 40, name
        assert registry()[name].licence, name
        assert snapshot.url.endswith(snapshot.revision)


def test_snapshot_needs_the_licence_comes_from_the_cache_and_says_when_the_hub_is_away(tmp_path, monkeypatch):
    import huggingface_hub

    entry = registry()["t5-small"]
    with pytest.raises(EadbenchError, match="not accepted"):
        fetch_files("t5-small", entry, tmp_path / "out", [])
    cached = tmp_path / "cache" / "t5-small"
    cached.mkdir(parents=True)
    (cached / "config.json").write_text("{}")
    fetch_files("t5-small", entry, tmp_path / "out", [], tmp_path / "cache")
    assert (tmp_path / "out/config.json").read_text() == "{}"
    request = {}

    def away(repo, **options):
        request.update(options, repo=repo)
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", away)
    with pytest.raises(EadbenchError, match="no route to host"):
        fetch_files("t5-small", entry, tmp_path / "other", ["t5-small"])
    assert request["repo"] == "google-t5/t5-small"
    assert request["revision"] == entry.snapshot.revision


def test_a_snapshot_that_broke_off_does_not_pass_for_a_whole_one_and_goes_on(tmp_path, monkeypatch):
    import huggingface_hub

    entry, folder = registry()["t5-small"], tmp_path / "cache/weights/t5-small"
    monkeypatch.setenv("EADBENCH_CACHE", str(tmp_path / "cache"))

    def breaks_off(repo, local_dir, **options):
        local_dir.mkdir(parents=True, exist_ok=True)
        (local_dir / "config.json").write_text("{}")
        if not (local_dir / ".cache").exists():
            (local_dir / ".cache").mkdir()
            raise OSError("the line is cut")
        (local_dir / "model.safetensors").write_text("weights")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", breaks_off)
    with pytest.raises(EadbenchError, match="the line is cut"):
        fetch_files("t5-small", entry, folder, ["t5-small"])
    assert cached_folder("t5-small", entry) is None
    fetch_files("t5-small", entry, folder, ["t5-small"])
    assert cached_folder("t5-small", entry) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert not folder.with_name("t5-small.partial").exists()
