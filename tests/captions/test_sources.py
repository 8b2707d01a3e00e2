import pandas as pd
import pytest

from eadbench.captions.sources import text_for
from eadbench.captions.wording import label_text
from eadbench.core.errors import EadbenchError

ROWS = [
    (f"{speaker}-{emotion}-{k}", speaker, emotion, f"{speaker} is {emotion}, take {k}.")
    for speaker in ("A", "B", "C")
    for emotion in ("sad", "happy")
    for k in range(3)
]
TABLE = pd.DataFrame([*ROWS, ("A-none", "A", "sad", None), ("H", "H", None, "No label here.")], columns=["clip_id", "speaker", "emotion", "caption"])


def test_target_is_the_clips_own_caption():
    assert text_for(TABLE, "A-sad-1", "target", 1) == "A is sad, take 1."
    assert text_for(TABLE, "A-none", "target", 1) is None


def test_target_of_another_emotion_is_refused():
    with pytest.raises(EadbenchError, match="cannot ask for 'happy'"):
        text_for(TABLE, "A-sad-1", "target", 1, emotion="happy")


def test_label_describes_what_is_asked_for():
    assert text_for(TABLE, "A-sad-1", "label", 1, intensity=0.3) == label_text("sad", 0.3)
    assert text_for(TABLE, "A-sad-1", "label", 1, emotion="happy") == label_text("happy")
    assert text_for(TABLE, "H", "label", 1) is None


@pytest.mark.parametrize("same_speaker", [False, True])
@pytest.mark.parametrize("emotion", ["sad", "happy"])
def test_other_clip_has_that_emotion_and_is_never_the_clip_itself(same_speaker, emotion):
    for clip_id, speaker, _, own in ROWS:
        for seed in range(4):
            text = text_for(TABLE, clip_id, "other_clip", seed, emotion=emotion, same_speaker=same_speaker)
            assert f"is {emotion}," in text
            assert text.startswith(speaker) == same_speaker
            assert text != own


def test_same_arguments_same_text_whatever_the_order_of_the_table():
    shuffled = TABLE.sample(frac=1, random_state=3)
    picks = [text_for(TABLE, r[0], "other_clip", 1) for r in ROWS]
    assert picks == [text_for(shuffled, r[0], "other_clip", 1) for r in ROWS]
    assert picks != [text_for(TABLE, r[0], "other_clip", 2) for r in ROWS]


def test_nothing_fits_gives_none_and_an_unknown_clip_is_an_error():
    assert text_for(TABLE, "A-sad-1", "other_clip", 1, emotion="fear") is None
    with pytest.raises(EadbenchError, match="no row"):
        text_for(TABLE, "nobody", "label", 1)
