import faces
import pandas as pd
import pytest

from eadbench.captions import write as writing
from eadbench.captions.answers import Answer, Outcome
from eadbench.captions.config import CaptionsConfig
from eadbench.captions.write import write_captions
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import concat_tables, read_table, write_table

CONFIG = CaptionsConfig(captioner="measured")


class Scripted:
    """Fails on the clips it is told to, dies after so many, counts what it was asked."""

    id, prompt_version = "scripted", "p1"

    def __init__(self, fails=(), dies_after=None):
        self.fails, self.dies_after, self.asked = set(fails), dies_after, []

    def describe(self, clips):
        for number, clip in enumerate(clips):
            if number == self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(clip.clip_id)
            answer = Answer(
                description=f"The face of {clip.clip_id}.", emotion="sad", intensity=0.5, confidence=0.5
            )
            yield (
                Outcome(clip.clip_id, None, "no answer")
                if clip.clip_id in self.fails
                else Outcome(clip.clip_id, answer)
            )


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return faces.make_table(tmp_path_factory.mktemp("write") / "clips", speakers=2, frames=12)


def run(monkeypatch, clips, out, captioner, shard="0-of-1", config=CONFIG):
    if captioner:
        monkeypatch.setattr(writing, "make_captioner", lambda *_: captioner)
    write_captions(clips, "faces", shard, config, {}, 1, "cpu", out)
    return read_table(out, schemas.CAPTIONS)


def test_shards_leave_no_trace(monkeypatch, clips, tmp_path):
    shards = [tmp_path / f"{k}-of-3.parquet" for k in range(3)]
    for k, path in enumerate(shards):
        run(monkeypatch, clips, path, None, f"{k}-of-3")
    run(monkeypatch, clips, tmp_path / "0-of-1.parquet", None)
    concat_tables(shards, schemas.CAPTIONS, tmp_path / "three.parquet", "clip_id")
    concat_tables([tmp_path / "0-of-1.parquet"], schemas.CAPTIONS, tmp_path / "one.parquet", "clip_id")
    assert (tmp_path / "three.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()
    assert list(read_table(tmp_path / "one.parquet", schemas.CAPTIONS).clip_id) == sorted(
        read_table(clips, schemas.CLIPS).clip_id
    )


def test_killed_run_goes_on_where_it_stopped(monkeypatch, clips, tmp_path):
    whole = run(monkeypatch, clips, tmp_path / "a" / "0-of-1.parquet", Scripted())
    out = tmp_path / "b" / "0-of-1.parquet"
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, clips, out, Scripted(dies_after=7))
    assert not out.exists()
    second = Scripted()
    pd.testing.assert_frame_equal(run(monkeypatch, clips, out, second), whole)
    assert len(second.asked) == len(whole) - 7
    assert not list(out.parent.glob(".*.jsonl"))


def test_torn_line_and_failed_clips_are_done_again(monkeypatch, clips, tmp_path):
    out = tmp_path / "0-of-1.parquet"
    names = sorted(read_table(clips, schemas.CLIPS).clip_id)
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, clips, out, Scripted(fails=names[:2], dies_after=5))
    side = next(tmp_path.glob(".*.jsonl"))
    side.write_text(side.read_text()[:-20])
    second = Scripted()
    table = run(monkeypatch, clips, out, second)
    assert (table.status == "kept").all()
    assert second.asked == [*names[:2], names[4], *names[5:]]


def test_a_changed_letter_in_what_a_killed_run_left_does_not_reach_the_table(monkeypatch, clips, tmp_path):
    whole = run(monkeypatch, clips, tmp_path / "a" / "0-of-1.parquet", Scripted())
    out = tmp_path / "b" / "0-of-1.parquet"
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, clips, out, Scripted(dies_after=7))
    side = next(out.parent.glob(".*.jsonl"))
    assert side.read_text().count("The face of ") == 7
    side.write_text(side.read_text().replace("The face of ", "The fame of ", 1))
    second = Scripted()
    pd.testing.assert_frame_equal(run(monkeypatch, clips, out, second), whole)
    assert len(second.asked) == len(whole) - 6, "the harmed one is described again"


def test_what_another_recipe_left_is_not_continued(monkeypatch, clips, tmp_path):
    out = tmp_path / "0-of-1.parquet"
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, clips, out, Scripted(dies_after=5))
    second = Scripted()
    second.prompt_version = "p2"
    assert len(run(monkeypatch, clips, out, second)) == len(second.asked)


def test_failed_clips_keep_their_row_and_reason(monkeypatch, clips, tmp_path):
    names = sorted(read_table(clips, schemas.CLIPS).clip_id)
    table = run(monkeypatch, clips, tmp_path / "o.parquet", Scripted(fails=names[3:5])).set_index("clip_id")
    assert list(table.index) == names
    assert set(table.status[names[3:5]]) == {"failed"}
    assert set(table.reason[names[3:5]]) == {"no answer"}
    assert table.caption[names[3:5]].isna().all()
    assert table.caption.drop(names[3:5]).notna().all()


def test_shard_in_which_all_failed_is_an_error_that_tells_why(monkeypatch, clips, tmp_path):
    names = set(read_table(clips, schemas.CLIPS).clip_id)
    with pytest.raises(EadbenchError, match="no answer"):
        run(monkeypatch, clips, tmp_path / "o.parquet", Scripted(fails=names))
    assert not (tmp_path / "o.parquet").exists()


def test_dropped_clips_are_not_described_and_an_empty_shard_is_a_table(monkeypatch, clips, tmp_path):
    table = read_table(clips, schemas.CLIPS)
    some = table.assign(
        status=["dropped", *["kept"] * (len(table) - 1)], reason=["too dark", *[""] * (len(table) - 1)]
    )
    write_table(tmp_path / "clips.parquet", some, schemas.CLIPS)
    assert table.clip_id[0] not in set(
        run(monkeypatch, tmp_path / "clips.parquet", tmp_path / "o.parquet", Scripted()).clip_id
    )
    write_table(tmp_path / "clips.parquet", table.assign(status="dropped", reason="too dark"), schemas.CLIPS)
    assert len(run(monkeypatch, tmp_path / "clips.parquet", tmp_path / "none.parquet", None)) == 0


def test_missing_table_names_it(tmp_path):
    with pytest.raises(EadbenchError, match="missing"):
        write_captions(tmp_path / "no.parquet", "c", "0-of-1", CONFIG, {}, 1, "cpu", tmp_path / "o.parquet")
