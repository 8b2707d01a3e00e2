import json

import faces
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from eadbench.captions.config import CaptionsConfig, FilterConfig
from eadbench.captions.filter import decide, filter_captions, held_out, swapped_clips, thresholds
from eadbench.captions.report import auc, swap_check, write_report
from eadbench.captions.write import write_captions
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table, write_table
from eadbench.zoo.config import ArtefactConfig, ZooConfig
from eadbench.zoo.make import ArtefactInputs, make


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Clips, written captions and an LSA embedder fitted on them."""
    folder = tmp_path_factory.mktemp("filter")
    clips = faces.make_table(folder / "clips", speakers=5)
    write_captions(
        clips,
        "faces",
        "0-of-1",
        CaptionsConfig(captioner="measured"),
        {},
        1,
        "cpu",
        folder / "written.parquet",
    )
    zoo = ZooConfig(
        artefacts={"sentence": ArtefactConfig(kind="sentence", how="trained", uses_captions=True)}
    )
    make("sentence", zoo, 1, ArtefactInputs(captions=[folder / "written.parquet"]), folder / "sentence")
    return folder


def run(room, out, seed=1, parts=None, **config):
    parts = {"sentence": room / "sentence"} if parts is None else parts
    filter_captions(
        room / "written.parquet",
        room / "clips" / "clips.parquet",
        "faces",
        FilterConfig(**config),
        parts,
        seed,
        "cpu",
        out,
    )
    return read_table(out, schemas.CAPTIONS)


def test_true_captions_rank_above_swapped_ones(room, tmp_path):
    table = run(room, tmp_path / "c.parquet")
    check = swap_check(table)
    assert check["auc"] >= 0.8
    assert check["auc_all"] >= 0.8
    assert check["n_swapped"] == round(0.1 * len(table))
    assert table.embedder.str.match(r"sentence-trained@[0-9a-f]{12}$").all()
    assert table.similarity.between(-1.001, 1.001).all()


def test_wrong_captions_are_what_the_filter_drops(room, tmp_path):
    """Give a quarter of the clips another emotion's caption for good: those, not the
    rest, must go.
    """
    written = read_table(room / "written.parquet", schemas.CAPTIONS)
    rng = np.random.default_rng(0)
    right = written.caption_emotion == written.emotion
    victims = rng.choice(written.index[right], len(written) // 4, replace=False)
    donors = [rng.choice(written.index[right & (written.emotion != written.emotion[v])]) for v in victims]
    broken = written.copy()
    broken.loc[victims, "caption"] = written.caption[donors].to_numpy()
    write_table(tmp_path / "written.parquet", broken, schemas.CAPTIONS)
    config = FilterConfig(value=0.25)
    parts = {"sentence": room / "sentence"}
    table = filter_captions(
        tmp_path / "written.parquet",
        room / "clips/clips.parquet",
        "faces",
        config,
        parts,
        1,
        "cpu",
        tmp_path / "c.parquet",
    )
    dropped = table.status == "dropped"
    assert dropped[victims].mean() > 3 * dropped.drop(victims).mean()


def test_same_bytes_twice_and_another_seed_swaps_others(room, tmp_path):
    first, second = run(room, tmp_path / "a" / "c.parquet"), run(room, tmp_path / "b" / "c.parquet")
    assert (tmp_path / "a/c.parquet").read_bytes() == (tmp_path / "b/c.parquet").read_bytes()
    other = run(room, tmp_path / "c" / "c.parquet", seed=2)
    assert (first.swap_clip != other.swap_clip).any()
    pd.testing.assert_series_equal(first.similarity, second.similarity)


def table_of(similarity, emotions=None, splits=None, status=None):
    n = len(similarity)
    return pd.DataFrame(
        {
            "clip_id": [f"c{k}" for k in range(n)],
            "speaker": "s",
            "caption": "x",
            "similarity": similarity,
            "status": status or ["kept"] * n,
            "reason": "",
            "emotion": emotions or ["sad"] * n,
            "split": splits or ["train"] * n,
        }
    )


def test_quantile_is_fitted_on_training_clips_only():
    table = table_of([0.1, 0.2, 0.3, 0.4, 0.5, -1.0, -1.0], splits=["train"] * 5 + ["test"] * 2)
    assert set(thresholds(table, FilterConfig(value=0.25))) == {0.2}
    decide(table, [""] * 7, FilterConfig(value=0.25))
    assert list(table.status) == ["dropped", "kept", "kept", "kept", "kept", "dropped", "dropped"]
    assert "0.100 is below 0.200" in table.reason[0]


def test_quantile_per_emotion_loses_the_same_share_of_each():
    table = table_of([0.1, 0.2, 0.3, 0.4, 0.7, 0.8, 0.9, 1.0], emotions=["sad"] * 4 + ["happy"] * 4)
    decide(table, [""] * 8, FilterConfig(value=0.3, per="emotion"))
    assert (table.status == "dropped").groupby(table.emotion).sum().to_dict() == {"sad": 1, "happy": 1}
    decide(
        other := table_of(list(table.similarity), list(table.emotion)),
        [""] * 8,
        FilterConfig(value=0.3, per="corpus"),
    )
    assert (other.status == "dropped").groupby(other.emotion).sum().to_dict() == {"sad": 2, "happy": 0}


@pytest.mark.parametrize(
    ("clips", "share", "lost"),
    [(2, 0.15, 0), (4, 0.15, 1), (10, 0.15, 2), (200, 0.15, 30), (3, 0.0, 0), (1, 0.9, 0)],
)
def test_the_quantile_drops_its_share_in_whole_clips(clips, share, lost):
    table = table_of(list(np.random.default_rng(clips).uniform(size=clips)))
    decide(table, [""] * clips, FilterConfig(value=share, per="emotion"))
    assert (table.status == "dropped").sum() == lost


def test_absolute_threshold():
    table = table_of([0.1, 0.5, 0.9])
    decide(table, [""] * 3, FilterConfig(keep="threshold", value=0.5))
    assert list(table.status) == ["dropped", "kept", "kept"]


def test_failed_stay_failed_and_unlabelled_follow_the_config():
    for choice, expected in (("keep", "kept"), ("drop", "dropped")):
        table = table_of([np.nan, np.nan, 0.5], status=["failed", "kept", "kept"])
        decide(table, ["", "no label to compare with", ""], FilterConfig(unlabelled=choice))
        assert list(table.status) == ["failed", expected, "kept"]


def test_swaps_are_of_another_emotion_and_held_out_prefers_unseen_clips():
    emotions = ["sad", "happy", "sad", "happy", "angry", None] * 5
    table = table_of([0.5] * 30, emotions=emotions, splits=["train"] * 24 + ["test"] * 6).assign(
        speaker=[f"s{k % 7}" for k in range(30)]
    )
    table["swap_clip"] = swapped_clips(table, 1)
    by_name = table.set_index("clip_id")
    for row in table.itertuples():
        if isinstance(row.emotion, str):
            assert by_name.emotion[row.swap_clip] not in (row.emotion, None)
        else:
            assert by_name.speaker[row.swap_clip] != row.speaker
    assert list(table.split[held_out(table, 0.1, 1)]) == ["test"] * 3


def test_a_clip_of_which_nothing_is_known_is_not_swapped():
    table = table_of([0.5] * 3, emotions=["sad", None, None]).assign(speaker=["a", None, "b"])
    first, unknown, last = swapped_clips(table, 1)
    assert (first, unknown, last) == (None, None, table.clip_id[0])


def test_report_draws_and_warns(room, tmp_path, caplog):
    run(room, tmp_path / "c.parquet")
    facts = write_report([tmp_path / "c.parquet"], tmp_path / "report.html", 0.8)["faces"]
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert "AUC" in page
    kept = json.loads((tmp_path / "report.json").read_text())["faces"]
    assert kept["counts"] == facts["counts"]
    assert sum(facts["counts"].values()) == 90
    assert facts["accuracy_kept"] >= facts["accuracy"] >= facts["accuracy_dropped"]
    assert sum(row["dropped"] for row in facts["lost_by_speaker"].values()) == facts["counts"]["dropped"]
    assert 'class="warn"' not in page and "drawn people" not in page
    write_report([tmp_path / "c.parquet"], tmp_path / "drawn.html", 0.8, ["faces"])
    drawn = (tmp_path / "drawn.html").read_text()
    assert (
        "Drawn people, synthetic voices: nobody real" in drawn
        and "faces: drawn people, synthetic voices</text>" in drawn
    )
    write_report([tmp_path / "c.parquet"], tmp_path / "strict.html", 1.01)
    assert 'class="warn"' in (tmp_path / "strict.html").read_text()
    assert "less than 1.01" in caplog.text


def test_report_bears_corpora_without_labels_or_captions(room, tmp_path):
    written = read_table(room / "written.parquet", schemas.CAPTIONS)
    bare = written.assign(emotion=None, caption=None, status="failed", reason="<b>refusal</b>", corpus="bare")
    write_table(tmp_path / "bare.parquet", bare, schemas.CAPTIONS)
    facts = write_report([tmp_path / "bare.parquet"], tmp_path / "report.html", 0.8)["bare"]
    assert facts["failures"] == {"<b>refusal</b>": 90}
    page = (tmp_path / "report.html").read_text()
    assert (
        "<b>refusal" not in page
        and "No described clip has a label" in page
        and "check with swapped captions needs" in page
    )


class ImageEmbedder:
    """Embeds a frame by its mean colour and the words red, green, blue alike."""

    def embed_images(self, frames):
        return torch.nn.functional.normalize(torch.tensor(np.asarray(frames, np.float32).mean((1, 2))), dim=1)

    def embed_texts(self, texts):
        return torch.tensor([[float(c in t) for c in ("red", "green", "blue")] for t in texts])


def test_frames_are_compared_with_captions(room, tiny_clips, tmp_path, monkeypatch):
    from eadbench.captions import filter as filtering
    from eadbench.media.video import write_video

    clips = read_table(tiny_clips, schemas.CLIPS).head(3)
    for k, name in enumerate(clips.clip_id):
        frames = np.zeros((8, 64, 64, 3), np.uint8)
        frames[..., k] = 200
        write_video(tmp_path / f"{name}.mp4", frames)
    clips = clips.assign(video=[f"{n}.mp4" for n in clips.clip_id[:2]] + ["none.mp4"])
    write_table(tmp_path / "clips.parquet", clips, schemas.CLIPS)
    rows = clips[["clip_id", "corpus", "speaker", "emotion", "split"]]
    rows = rows.assign(captioner="x", caption=["red", "blue", "green"], status="kept", reason="")
    write_table(tmp_path / "written.parquet", rows, schemas.CAPTIONS)
    monkeypatch.setattr(filtering, "_open_embedder", lambda *_: (ImageEmbedder(), "images@0"))
    config = FilterConfig(compare="text-image", embedder="clip", keep="threshold", value=0.5)
    table = filter_captions(
        tmp_path / "written.parquet",
        tmp_path / "clips.parquet",
        "tiny",
        config,
        {},
        1,
        "cpu",
        tmp_path / "c.parquet",
    )
    assert list(table.status) == ["kept", "dropped", "dropped"]
    assert "cannot be opened" in table.reason[2]
    assert table.similarity_kind.eq("text-image").all()


def test_embedder_must_be_there_and_fit(room, tmp_path):
    with pytest.raises(EadbenchError, match="not handed over"):
        run(room, tmp_path / "c.parquet", parts={})
    with pytest.raises(EadbenchError, match="cannot use an artefact of kind 'sentence'"):
        run(room, tmp_path / "c.parquet", compare="text-image")


def test_auc_equals_that_of_sklearn_ties_included():
    rng = np.random.default_rng(3)
    true, wrong = rng.integers(2, 9, 40) / 10, rng.integers(0, 7, 15) / 10
    assert auc(true, wrong) == pytest.approx(
        roc_auc_score(np.r_[np.ones(40), np.zeros(15)], np.r_[true, wrong]), abs=1e-12
    )
    assert auc(true, wrong[:0]) is None
