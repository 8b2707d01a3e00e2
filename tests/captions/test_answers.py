import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eadbench.captions.answers import Answer, AnswerError, looks_english, parse_answer
from eadbench.captions.prompts import load_prompt
from eadbench.core.emotions import EMOTIONS
from eadbench.core.errors import EadbenchError

GOOD = {
    "description": "The brows are lowered and the lips are tight.",
    "emotion": "angry",
    "intensity": 0.5,
    "confidence": 1.0,
}


def parse(**changes):
    return parse_answer(json.dumps({**GOOD, **changes}), 600)


def test_good_answer_comes_through_with_common_names_and_one_line():
    answer = parse(emotion="Fearful", description=" The brows\n are  raised. ", intensity=1)
    assert answer == Answer(
        description="The brows are raised.", emotion="fear", intensity=1.0, confidence=1.0
    )


def test_code_fence_is_taken_off():
    assert parse_answer(f"```json\n{json.dumps(GOOD)}\n```", 600).emotion == "angry"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (None, "empty"),
        ("   \n", "empty"),
        ("I'm sorry, but I can't describe people.", "refusal"),
        ("As an AI model I do not judge faces.", "refusal"),
        ("The person looks angry.", "not JSON"),
        (json.dumps(GOOD)[:-5], "not JSON"),
        (json.dumps(GOOD) + json.dumps(GOOD), "not JSON"),
        (json.dumps([GOOD]), "not a JSON object"),
        (json.dumps({**GOOD, "age": 40}), "age"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "intensity"}), "intensity"),
        (json.dumps({**GOOD, "intensity": 1.5}), "intensity"),
        (json.dumps({**GOOD, "intensity": "strong"}), "intensity"),
        (json.dumps({**GOOD, "confidence": float("nan")}), "confidence"),
        (json.dumps({**GOOD, "emotion": "hangry"}), "emotion"),
        (json.dumps({**GOOD, "description": " "}), "empty"),
        (json.dumps({**GOOD, "description": "The face is calm. " * 600}), "characters"),
        (json.dumps({**GOOD, "description": "I cannot identify this person."}), "refusal"),
        (
            json.dumps(
                {
                    **GOOD,
                    "description": "La personne a les sourcils froncés et les lèvres serrées avec colère.",
                }
            ),
            "English",
        ),
        (json.dumps({**GOOD, "description": "这个人看起来非常生气，眉毛紧锁。"}), "English"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_bad_answers_are_refused_with_a_reason(text, reason):
    with pytest.raises(AnswerError, match=reason) as caught:
        parse_answer(text, 600)
    assert len(str(caught.value)) < 400


@given(st.text(max_size=200))
def test_any_text_gives_an_answer_or_a_reason(text):
    try:
        parse_answer(text, 600)
    except AnswerError as error:
        assert str(error)


def test_languages():
    assert looks_english(
        "The lips are pressed together and the eyes are narrowed; she seems to be in a bad mood."
    )
    assert looks_english("Eyes wide open.")
    for other in (
        "Der Mund ist leicht geöffnet, die Augenbrauen sind zusammengezogen und der Blick wirkt wütend.",
        "La boca está abierta y las cejas levantadas, parece muy sorprendida por algo.",
        "Человек выглядит сердитым, брови нахмурены.",
    ):
        assert not looks_english(other)


def test_prompt_names_all_emotions_and_has_a_version(tmp_path):
    prompt = load_prompt("describe")
    assert all(word in prompt.text for word in EMOTIONS)
    assert prompt.version.startswith("describe-1+")
    other = tmp_path / "own.md"
    other.write_text("---\nversion: own-3\n---\nSay what you see.\n")
    assert load_prompt(str(other)).version.startswith("own-3+")
    assert load_prompt(str(other)).text == "Say what you see."


def test_prompt_without_version_or_file_is_an_error(tmp_path):
    bare = tmp_path / "bare.md"
    bare.write_text("Say what you see.")
    with pytest.raises(EadbenchError, match="no version"):
        load_prompt(str(bare))
    with pytest.raises(EadbenchError, match="no such prompt"):
        load_prompt("nowhere")
