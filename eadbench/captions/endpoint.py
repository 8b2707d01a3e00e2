"""The captioner that asks an OpenAI-compatible server, e.g. one vLLM for all jobs of a
cluster.
"""

import asyncio
import base64
import logging
import math
import os
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np

from eadbench.captions.answers import Answer, AnswerError, Outcome, parse_answer
from eadbench.captions.config import CaptionsConfig
from eadbench.captions.frames import clip_frames, rate_shown
from eadbench.captions.prompts import AGAIN, load_prompt
from eadbench.core import secrets
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.schemas import ClipsRow
from eadbench.media.image import encode_jpeg

log = logging.getLogger(__name__)
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds between tries where the server asks for none; doubled each time
MOST_BYTES = 4_000_000  # of an answer


class EndpointCaptioner:
    """Describes clips through ``/chat/completions``. The key is read from the
    environment and appears in no log, row or file.

    Raises:
        EadbenchError: If the environment lacks the key's variable.
    """

    def __init__(self, config: CaptionsConfig) -> None:
        self.config, self.server = config, config.endpoint
        prompt = load_prompt(config.prompt)
        self.prompt, self.prompt_version = prompt.text, prompt.version
        self.id = f"{self.server.model} (endpoint)"
        self._key = _key(self.server.key_env)
        self._address = secrets.expand(self.server.base_url, "captions.endpoint.base_url")

    def describe(self, clips: Sequence[ClipsRow]) -> Iterator[Outcome]:
        """Outcomes as they come in; at most ``concurrency`` requests are under way, and
        no more clips than that are decoded.
        """
        rest = iter(clips)
        with ThreadPoolExecutor(self.server.concurrency) as pool:
            under_way: set[Future[Outcome]] = set()
            for _ in range(self.server.concurrency):
                under_way |= {
                    pool.submit(self._describe_one, clip) for clip in [next(rest, None)] if clip is not None
                }
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    under_way |= {
                        pool.submit(self._describe_one, clip)
                        for clip in [next(rest, None)]
                        if clip is not None
                    }
                    yield future.result()

    def _describe_one(self, clip: ClipsRow) -> Outcome:
        """Ask; an answer that cannot be used is asked for once more. Everything that
        can go wrong with one clip becomes a reason.
        """
        try:
            frames = clip_frames(clip.video, self.config.frames, self.config.qwen.max_pixels)
            shown, extra = self._shown(frames, rate_shown(clip, len(frames)))
            messages = [{"role": "user", "content": [*shown, {"type": "text", "text": self.prompt}]}]
            text = self._ask(messages, extra)
            try:
                return Outcome(clip.clip_id, parse_answer(text, self.config.max_characters))
            except AnswerError:
                said = text[: self.config.max_characters] if text else "(nothing)"
                messages += [{"role": "assistant", "content": said}, {"role": "user", "content": AGAIN}]
            return Outcome(clip.clip_id, parse_answer(self._ask(messages, extra), self.config.max_characters))
        except EadbenchError as error:
            return Outcome(clip.clip_id, None, reason_of(error, clip.clip_id))
        except AnswerError as error:
            return Outcome(clip.clip_id, None, self._hide(str(error)))
        except (
            ValueError,
            TypeError,
            AttributeError,
            IndexError,
            KeyError,
        ) as error:  # a body that is no chat completion
            return Outcome(
                clip.clip_id,
                None,
                self._hide(f"endpoint: answer is no chat completion ({type(error).__name__})"),
            )
        except Exception as error:
            return Outcome(clip.clip_id, None, self._hide(reason_of(error, clip.clip_id)))

    def _shown(self, frames: np.ndarray, rate: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Parts of the message that show the frames, and what of the request's body
        goes with them.
        """
        extra = (
            {}
            if self.server.repetition_penalty is None
            else {"repetition_penalty": self.server.repetition_penalty}
        )
        if self.server.frames_as == "images":
            return [_part("image", "image/jpeg", [frame]) for frame in frames], extra
        from eadbench.zoo.kinds.qwen_vl import as_video  # imports torch

        video, facts = as_video(frames, rate)
        # vLLM takes a series of JPEG files for a video from 0.18 on.
        extra |= {
            "media_io_kwargs": {"video": {"fps": facts["fps"]}},
            "mm_processor_kwargs": {"do_sample_frames": False},
        }
        return [_part("video", "video/jpeg", video)], extra

    def _ask(self, messages: list[dict[str, Any]], extra: dict[str, Any]) -> str:
        """What the model says. Passing trouble is tried again, after the wait that the
        server asks for if the budget allows it. (The openai client, in 3.54, neither
        waits for more than two minutes nor tries again then.)
        """
        waited, wait = 0.0, FIRST_WAIT
        for number in range(1, self.server.tries + 1):
            try:
                return asyncio.run(self._once(messages, extra))
            except _TroubleError as trouble:
                so_far = f"{trouble}, {number} {'try' if number == 1 else 'tries'}" + (
                    f", {waited:.3g} s waited" if waited >= 1 else ""
                )
                if not trouble.passes or number == self.server.tries:
                    raise EadbenchError(self._hide(f"endpoint: {so_far}")) from trouble
                pause = wait * random.uniform(0.75, 1) if trouble.asked is None else trouble.asked
                remaining = self.server.max_wait - waited
                if pause > remaining:
                    why = (
                        f"asked to wait {pause:g} s, of captions.endpoint.max_wait {remaining:.3g} s are left"
                    )
                    raise EadbenchError(self._hide(f"endpoint: {so_far}; {why}")) from trouble
                if trouble.asked is not None:
                    log.info("the endpoint asks to wait %g s: %s", pause, self._hide(str(trouble)))
                time.sleep(pause)
                waited, wait = waited + pause, min(2 * wait, LONGEST_WAIT)
        raise AssertionError("unreachable")

    async def _once(self, messages: list[dict[str, Any]], extra: dict[str, Any]) -> str:
        """One request, which ends after ``timeout`` seconds whatever the server sends
        (the client's own timeout is for each read).
        """
        import openai

        options: dict[str, Any] = {}
        if self.server.json_schema:
            schema = {"name": "description", "strict": True, "schema": Answer.model_json_schema()}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [_limit]})
        connect = {
            "base_url": self._address,
            "api_key": self._key or "none",
            "max_retries": 0,
            "timeout": self.server.timeout,
            "http_client": http,
        }
        try:
            async with asyncio.timeout(self.server.timeout), openai.AsyncOpenAI(**connect) as client:
                answer = await client.chat.completions.create(
                    model=self.server.model, messages=messages, max_tokens=self.config.max_tokens,
                    extra_body=extra,
                    temperature=0, top_p=1, presence_penalty=0, frequency_penalty=0, seed=0, **options,
                )  # fmt: skip
        except _TooLargeError as error:
            raise _TroubleError(f"the answer has more than {MOST_BYTES:,} bytes", passes=False) from error
        except (TimeoutError, openai.APITimeoutError) as error:
            raise _TroubleError(f"no answer within {self.server.timeout:g} s", passes=True) from error
        except openai.APIStatusError as error:
            status = error.status_code
            passes = status in (408, 409, 429) or status >= 500
            raise _TroubleError(
                f"status {status}, {' '.join(error.message.split())[:160]}",
                passes,
                _asked_wait(error.response.headers),
            ) from error
        except openai.APIConnectionError as error:
            cause = error.__cause__
            raise _TroubleError(
                " ".join(str(cause or error).split())[:160] or type(cause).__name__, passes=True
            ) from error
        except openai.OpenAIError as error:
            raise _TroubleError(" ".join(str(error).split())[:160], passes=False) from error
        choice = answer.choices[0]
        if getattr(choice.message, "refusal", None):
            raise AnswerError(f"refusal: {choice.message.refusal[:80]}")
        return choice.message.content or ""

    def _hide(self, text: str) -> str:
        return secrets.hide(text)


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise EadbenchError(
            "the endpoint's key is not in the environment",
            variable,
            f"export {variable}=..., or set captions.endpoint.key_env",
        )
    secrets.keep_hidden(os.environ[variable])
    return os.environ[variable]


class _TroubleError(Exception):
    """A request without an answer: why, whether another try may help, and how many
    seconds the server asks to wait before it.
    """

    def __init__(self, why: str, passes: bool, asked: float | None = None) -> None:
        super().__init__(why)
        self.passes, self.asked = passes, asked


class _TooLargeError(Exception):
    """An answer that does not end."""


async def _limit(response: Any) -> None:
    """Let the body of a response, a refusal's too, be read up to ``MOST_BYTES`` only."""
    whole = response.stream

    class Limited(type(whole)):
        """It by the same name, since the HTTP library (httpx2 in openai 3.54) looks for
        its own class.
        """

        def __init__(self) -> None:
            pass

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in whole:
                size += len(chunk)
                if size > MOST_BYTES:
                    raise _TooLargeError
                yield chunk

        async def aclose(self) -> None:
            await whole.aclose()

    response.stream = Limited()


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for: a number, or a date."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _part(kind: str, media: str, frames: Iterable[np.ndarray]) -> dict[str, Any]:
    """Part of a message that shows frames as JPEG files."""
    data = ",".join(base64.b64encode(encode_jpeg(frame)).decode() for frame in frames)
    return {"type": f"{kind}_url", f"{kind}_url": {"url": f"data:{media};base64,{data}"}}
