"""Labels as spreadsheets and people write them."""

import pandas as pd
import pytest

from eadbench.core.errors import EadbenchError
from eadbench.score.labels import Label, plain_name, read_labels

SUFFIXES = (".mp4", ".wav")
EXPECTED = {"a/clip 1": Label("happy", "anna"), "b": Label("sad", "ben"), "c": Label(None, None)}


@pytest.mark.parametrize(
    "text",
    [
        "name,emotion,speaker\na/clip 1,happy,anna\nb,sad,ben\nc,,\n",
        "\ufeffname;emotion;speaker\r\na/clip 1.mp4;happiness;anna\r\nb.MP4;Sad;ben\r\nc;;\r\n",
        "Name, Emotion , SPEAKER\n./a/clip 1, happy, anna\n./b, sad, ben\nc, ,\n",
        "name\temotion\tspeaker\na\\clip 1\thappy\tanna\n.\\b\tsad\tben\nc\t\t\n",
        "sep=;\nname;emotion;speaker\na/clip 1;happy;anna\n\nb;sad;ben\nc\n",
        ";;;\nname;emotion;speaker;\na/clip 1;happy;anna;\nb;sad;ben;\nc;;;\n;;;\n",
        'speaker,emotion,name\nanna,happy,"a/clip 1"\nanna,happy,a//clip 1\nben,sad,b\n,,c\n',
    ],
    ids=[
        "plain",
        "Excel: mark, semicolons, CRLF",
        "blanks after commas",
        "tabs and backslashes",
        "sep= and short lines",
        "empty lines and columns of a spreadsheet",
        "order, quotes, said twice",
    ],
)
def test_all_spellings_say_the_same(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode())
    labels = read_labels(path, SUFFIXES)
    assert labels.by_name == EXPECTED and labels.remarks == ()


def test_utf16_and_parquet_are_read_alike(tmp_path):
    (tmp_path / "excel.txt").write_text(
        "name\temotion\tspeaker\na/clip 1\thappy\tanna\nb\tsad\tben\nc\t\t\n", encoding="utf-16"
    )
    rows = [
        {"name": "a/clip 1.mp4", "emotion": "happy", "speaker": "anna"},
        {"name": "b", "emotion": "sad", "speaker": "ben"},
        {"name": "c"},
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "labels.parquet")
    for name in ("excel.txt", "labels.parquet"):
        assert read_labels(tmp_path / name, SUFFIXES).by_name == EXPECTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "lack the column 'name'; found: a, b"),
        ("name,emotion\nx,bored\n", "unknown emotion 'bored'.*\n.*line 2"),
        ("name,speaker\nx,anna\ny,ben\nx.mp4,ben\n", "different things of 'x'.*anna.*line 2.*ben.*line 4"),
        ("name,speaker\nx,anna,2\n", "3 values below 2 headings\n.*line 2"),
        ("name,speaker\n,anna\n", "without a name"),
        ("name,speaker,name\nx,anna,y\n", "column 'name' twice"),
        ('name,speaker\nx,anna\ny,"ben\nz,carla\n', "quote .* not closed\n.*line 3"),
        ('name,"speaker\nx,anna\n', "quote .* not closed\n.*line 1"),
        ("", "no label"),
        ("name,speaker\n", "no label"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, text, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(EadbenchError, match=message):
        read_labels(path, SUFFIXES)


def test_other_encodings_absent_files_and_folders_are_named(tmp_path):
    (tmp_path / "latin.csv").write_bytes("name,speaker\nx,Jörg\n".encode("latin-1"))
    with pytest.raises(EadbenchError, match="not UTF-8"):
        read_labels(tmp_path / "latin.csv")
    for path in (tmp_path / "none.csv", tmp_path, tmp_path / "none.parquet"):
        with pytest.raises(EadbenchError, match="cannot be read"):
            read_labels(path)


def test_an_unknown_column_is_reported_with_the_nearest_name(tmp_path):
    (tmp_path / "labels.csv").write_text("name,emotoin,take\nx,happy,3\n")
    assert read_labels(tmp_path / "labels.csv").remarks == (
        "column 'emotoin' of the labels is not used; is it 'emotion'?",
        "column 'take' of the labels is not used",
    )


def test_labels_without_videos_and_videos_without_labels_are_reported(tmp_path):
    (tmp_path / "labels.csv").write_text("name,speaker\nx,anna\ny,ben\n")
    labels = read_labels(tmp_path / "labels.csv")
    assert labels.check({"x", "y"}) == []
    assert labels.check({"x", "z"}) == ["1 of 2 labels match no video: y", "1 of 2 videos have no label: z"]
    with pytest.raises(
        EadbenchError, match="none of the 2 labels is of a video: the first is of 'x', a video is 'a/x'"
    ):
        labels.check({"a/x", "a/y"})
    assert read_labels(None).check({"x"}) == []


def test_names_are_composed_letters_with_slashes():
    assert plain_name(" ./u\u0308ber\\a.b.mp4 ", SUFFIXES) == "\u00fcber/a.b"
    assert plain_name("a.b", SUFFIXES) == "a.b"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_text_of_more_bytes_per_letter_is_told_from_utf8(tmp_path, encoding):
    path = tmp_path / "labels.csv"
    path.write_text("name,emotion\na,happy\n", encoding=encoding)
    with pytest.raises(EadbenchError, match="not UTF-8"):
        read_labels(path, SUFFIXES)


def test_a_list_in_a_parquet_table_is_text(tmp_path):
    path = tmp_path / "labels.parquet"
    pd.DataFrame({"name": ["b"], "emotion": ["sad"], "tags": [[1, 2]]}).to_parquet(path)
    labels = read_labels(path, SUFFIXES)
    assert labels.by_name == {"b": Label("sad", None)} and len(labels.remarks) == 1


def test_columns_of_one_name_in_a_parquet_table_are_refused_without_a_warning(tmp_path, recwarn):
    path = tmp_path / "labels.parquet"
    pd.DataFrame({"name": ["b"], "Emotion": ["sad"], "emotion": ["happy"]}).to_parquet(path)
    with pytest.raises(EadbenchError, match="column 'emotion' twice"):
        read_labels(path, SUFFIXES)
    assert not recwarn.list
