import pytest
from pydantic import ValidationError

from eadbench.synthetic.config import StudioConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actors": ["Bob"]}, "does not look like"),
        ({"actors": ["M003", "M003"]}, "twice"),
        ({"test_actors": ["W009"]}, "not among actors"),
        ({"emotions": ["calm"]}, "unknown to mead"),
        ({"levels": [4]}, "1..3"),
        ({"faults": ["silent"]}, "hdtf"),
        ({"size": [255, 256]}, "even"),
        ({"fps": "0"}, "positive"),
        ({"fps": "30/0"}, "positive"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(ValidationError, match=message):
        StudioConfig.model_validate({"layout": "mead", "actors": ["M003"]} | changes)


def test_defaults_take_all_of_the_layout():
    mead = StudioConfig(layout="mead", actors=["M003"], fps=30)
    assert len(mead.words) == 8 and mead.strengths == (1, 2, 3) and mead.rate == 30
    ravdess = StudioConfig(layout="ravdess", actors=["Actor_01"], fps="30000/1001")
    assert (
        "calm" in ravdess.words
        and ravdess.strengths == (1, 2)
        and float(ravdess.rate) == pytest.approx(29.97, abs=1e-3)
    )
