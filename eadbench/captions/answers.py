"""A captioner's answer: parsed strictly, or refused with a reason."""

import json
import re
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from eadbench.core.emotions import EMOTIONS, common_name

FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n?```\Z", re.DOTALL)
REFUSAL = re.compile(
    r"\b(i['’]?m sorry|i am sorry|i apologi[sz]e|i can(no|['’])t|i can not|i(['’]m| am) (unable|not "
    r"able)|as an ai|i won['’]t"
    r"|unable to (assist|help))\b",
    re.IGNORECASE,
)
LEAST_STOP_WORDS = 0.12  # English descriptions have 0.3 to 0.5; French, German or Spanish ones below 0.1


class Answer(BaseModel):
    """What the prompt asks for; nothing more, nothing less."""

    model_config = ConfigDict(extra="forbid", strict=True)

    description: str
    emotion: str
    intensity: float = Field(ge=0, le=1)
    confidence: float = Field(ge=0, le=1)

    @field_validator("emotion")
    @classmethod
    def _known(cls, word: str) -> str:
        try:
            return common_name(word)
        except KeyError:
            raise ValueError(f"unknown emotion; known: {', '.join(EMOTIONS)}") from None


@dataclass(frozen=True)
class Outcome:
    """What became of one clip: an answer, or the reason why there is none."""

    clip_id: str
    answer: Answer | None
    reason: str = ""


class AnswerError(ValueError):
    """The answer cannot be used; the message says why in a few words."""


def parse_answer(text: str | None, max_characters: int) -> Answer:
    """Read one JSON object (a code fence around it is taken off) and check its
    description.

    Raises:
        AnswerError: If the text is empty, a refusal, not exactly one JSON object, has
            other keys or values out of range, or its description is empty, a refusal,
            too long or not English.
    """
    text = (text or "").strip()
    if not text:
        raise AnswerError("empty answer")
    fenced = FENCE.match(text)
    try:
        raw = json.loads(fenced.group(1) if fenced else text)
    except (json.JSONDecodeError, RecursionError) as error:
        if REFUSAL.search(text[:300]):
            raise AnswerError(f"refusal: {_short(text)}") from error
        raise AnswerError(f"not JSON: {_short(text)}") from error
    if not isinstance(raw, dict):
        raise AnswerError(f"not a JSON object: {_short(text)}")
    try:
        answer = Answer.model_validate(raw)
    except ValidationError as error:
        raise AnswerError(
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())[:300]
        ) from error
    return answer.model_copy(update={"description": check_description(answer.description, max_characters)})


def check_description(text: str, max_characters: int) -> str:
    """The description on one line, if it can serve as a caption.

    Raises:
        AnswerError: If it is empty, too long, a refusal or not English.
    """
    text = " ".join(text.split())
    if not text:
        raise AnswerError("description is empty")
    if len(text) > max_characters:
        raise AnswerError(f"description has {len(text)} characters, more than {max_characters}")
    if REFUSAL.search(text):
        raise AnswerError(f"refusal: {_short(text)}")
    if not looks_english(text):
        raise AnswerError(f"description is not English: {_short(text)}")
    return text


def looks_english(text: str) -> bool:
    """Whether the text is in Latin letters and has the little words of English; texts
    of fewer than five words pass on letters alone.
    """
    letters = [c for c in text if c.isalpha()]
    if not letters or sum(c.isascii() for c in letters) < 0.9 * len(letters):
        return False
    words = re.findall(r"[^\W\d_]+(?:'[a-z]+)?", text.lower())
    return len(words) < 5 or sum(w in ENGLISH_STOP_WORDS for w in words) >= LEAST_STOP_WORDS * len(words)


def _short(text: str, limit: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
