"""The captioner that asks an OpenAI-compatible server, e.g. one vLLM for all jobs of a cluster."""

import base64
import logging
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pandas as pd

from eadbench.captions.answers import Answer, AnswerError, Outcome, parse_answer
from eadbench.captions.config import CaptionsConfig
from eadbench.captions.frames import clip_frames
from eadbench.captions.prompts import AGAIN, load_prompt
from eadbench.core import secrets
from eadbench.core.errors import EadbenchError
from eadbench.media.image import encode_jpeg

log = logging.getLogger(__name__)


class EndpointCaptioner:
    """Describes clips through ``/chat/completions``. The key is read from the environment and appears in no log, row or file.

    Raises:
        EadbenchError: If the environment lacks the key's variable.
    """

    def __init__(self, clips_path: Path, config: CaptionsConfig) -> None:
        import openai

        self.clips_path, self.config, self.server = clips_path, config, config.endpoint
        prompt = load_prompt(config.prompt)
        self.prompt, self.prompt_version = prompt.text, prompt.version
        self.id = f"{self.server.model} (endpoint)"
        self._key = _key(self.server.key_env)
        self._client = openai.OpenAI(
            base_url=secrets.expand(self.server.base_url, "captions.endpoint.base_url"),
            api_key=self._key or "none",
            timeout=self.server.timeout,
            max_retries=self.server.tries - 1,
        )

    def describe(self, clips: pd.DataFrame) -> Iterator[Outcome]:
        """Outcomes as they come in; at most ``concurrency`` requests are under way, and no more clips than that are decoded."""
        rest = iter(list(clips.itertuples()))
        with ThreadPoolExecutor(self.server.concurrency) as pool:
            under_way: set[Future[Outcome]] = set()
            for _ in range(self.server.concurrency):
                under_way |= {pool.submit(self._describe_one, clip) for clip in [next(rest, None)] if clip is not None}
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    under_way |= {pool.submit(self._describe_one, clip) for clip in [next(rest, None)] if clip is not None}
                    yield future.result()

    def _describe_one(self, clip: Any) -> Outcome:
        """Ask; an answer that cannot be used is asked for once more. Everything that can go wrong with one clip becomes a reason."""
        import openai

        try:
            frames = clip_frames(self.clips_path, clip.video, self.config.frames, self.config.qwen.max_pixels)
            messages = [{"role": "user", "content": [*map(_image, frames), {"type": "text", "text": self.prompt}]}]
            text = self._ask(messages)
            try:
                return Outcome(clip.clip_id, parse_answer(text, self.config.max_characters))
            except AnswerError:
                said = text[: self.config.max_characters] if text else "(nothing)"
                messages += [{"role": "assistant", "content": said}, {"role": "user", "content": AGAIN}]
            return Outcome(clip.clip_id, parse_answer(self._ask(messages), self.config.max_characters))
        except EadbenchError as error:
            return Outcome(clip.clip_id, None, error.what)
        except AnswerError as error:
            return Outcome(clip.clip_id, None, self._hide(str(error)))
        except openai.APITimeoutError:
            return Outcome(clip.clip_id, None, f"endpoint: no answer within {self.server.timeout:g} s, {self.server.tries} tries")
        except openai.APIStatusError as error:
            return Outcome(clip.clip_id, None, self._hide(f"endpoint: status {error.status_code}, {' '.join(error.message.split())[:160]}"))
        except openai.OpenAIError as error:
            return Outcome(clip.clip_id, None, self._hide(f"endpoint: {' '.join(str(error).split())[:160]}"))
        except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:  # a body that is no chat completion
            return Outcome(clip.clip_id, None, self._hide(f"endpoint: answer is no chat completion ({type(error).__name__})"))

    def _ask(self, messages: list[dict[str, Any]]) -> str:
        options: dict[str, Any] = {}
        if self.server.json_schema:
            schema = {"name": "description", "strict": True, "schema": Answer.model_json_schema()}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        answer = self._client.chat.completions.create(
            model=self.server.model, messages=messages, temperature=0, seed=0, max_tokens=self.config.max_tokens, **options
        )
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
        raise EadbenchError("the endpoint's key is not in the environment", variable, f"export {variable}=..., or set captions.endpoint.key_env")
    secrets.keep_hidden(os.environ[variable])
    return os.environ[variable]


def _image(frame) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(frame)).decode()}}
