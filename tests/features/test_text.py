import pytest
import torch
from safetensors.torch import load_file

from eadbench.captions.wording import label_text, label_texts
from eadbench.core import schemas
from eadbench.core.emotions import EMOTIONS
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table, write_table
from eadbench.features import text as features_text
from eadbench.features.text import TextStore, encode_texts, text_id_of, texts_to_encode
from eadbench.zoo import load
from eadbench.zoo.config import ArtefactConfig, ZooConfig
from eadbench.zoo.make import ArtefactInputs, make

CAPTIONS = [
    "The brows are raised.",
    "The lips are pressed together.",
    "The brows are raised.",
    None,
    "The person looks sad.",
]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A captions table with a caption twice and one missing, and an encoder fitted on
    it.
    """
    folder = tmp_path_factory.mktemp("text")
    rows = [
        {
            "clip_id": f"c{k}",
            "corpus": "x",
            "captioner": "m",
            "caption": c,
            "split": "train",
            "status": "kept" if c else "failed",
            "reason": "",
        }
        for k, c in enumerate(CAPTIONS)
    ]
    write_table(folder / "captions.parquet", rows, schemas.CAPTIONS)
    zoo = ZooConfig(
        artefacts={
            "text_encoder": ArtefactConfig(
                kind="text_encoder", how="trained", options={"model": "t5", "steps": 2, "dim": 32}
            )
        }
    )
    make("text_encoder", zoo, 1, ArtefactInputs(captions=[folder / "captions.parquet"]), folder / "encoder")
    encode_texts("x", folder / "captions.parquet", folder / "encoder", "cpu", folder / "text.parquet")
    return folder


def test_each_distinct_text_is_encoded_once_and_labels_and_the_empty_text_with_them(room):
    table = read_table(room / "text.parquet", schemas.TEXTS)
    assert table.text.is_unique
    assert table.text_id.is_unique
    expected = {
        "",
        *filter(None, CAPTIONS),
        *(t for e in EMOTIONS for i in (0.1, 0.5, 0.9, None) for t in label_texts(e, i)),
    }
    assert set(table.text) == expected
    assert set(load_file(room / "text.safetensors")) == set(table.text_id)


def test_what_is_stored_is_what_the_encoder_gives(room):
    store = TextStore(room / "text.parquet")
    encoder = load(room / "encoder")
    for text in ("", "The person looks sad.", label_text("fear", 1.0)):
        tokens, mask = encoder.encode([text])
        stored = store.of_text(text)
        assert stored.dtype == torch.float16
        torch.testing.assert_close(stored.float(), tokens[0][mask[0]], atol=2e-3, rtol=2e-3)
        assert text_id_of(text) in store
    assert store.dim == encoder.dim == 32


def test_same_bytes_twice_and_in_several_files(room, tmp_path, monkeypatch):
    encode_texts("x", room / "captions.parquet", room / "encoder", "cpu", tmp_path / "a" / "text.parquet")
    assert (tmp_path / "a/text.safetensors").read_bytes() == (room / "text.safetensors").read_bytes()
    monkeypatch.setattr(features_text, "TEXTS_PER_FILE", 30)
    encode_texts("x", room / "captions.parquet", room / "encoder", "cpu", tmp_path / "b" / "text.parquet")
    table = read_table(tmp_path / "b/text.parquet", schemas.TEXTS)
    assert table.file.nunique() == -(-len(table) // 30)
    whole, parts = TextStore(room / "text.parquet"), TextStore(tmp_path / "b/text.parquet")
    for text in table.text:
        torch.testing.assert_close(parts.of_text(text), whole.of_text(text), atol=2e-3, rtol=2e-3)


def test_labels_of_any_intensity_are_among_the_texts():
    texts = set(texts_to_encode([]))
    for emotion in EMOTIONS:
        for intensity in (0.0, 0.01, 0.33, 0.45, 0.5, 0.66, 0.84, 0.9, 1.0, None, float("nan")):
            assert label_text(emotion, intensity) in texts


def test_unknown_text_and_lost_file_say_what_to_do(room, tmp_path):
    with pytest.raises(EadbenchError, match="was not encoded"):
        TextStore(room / "text.parquet").of_text("Never written.")
    table = read_table(room / "text.parquet", schemas.TEXTS)
    write_table(tmp_path / "text.parquet", table, schemas.TEXTS)
    with pytest.raises(EadbenchError, match="cannot be read"):
        TextStore(tmp_path / "text.parquet").of_text("")
