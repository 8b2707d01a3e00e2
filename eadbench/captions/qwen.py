"""The captioner that asks a Qwen VL model through transformers, in batches."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from eadbench.captions.answers import Answer, AnswerError, Outcome, parse_answer
from eadbench.captions.config import CaptionsConfig
from eadbench.captions.frames import clip_frames, rate_shown
from eadbench.captions.prompts import AGAIN, load_prompt
from eadbench.core.device import pick_device
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.schemas import ClipsRow

log = logging.getLogger(__name__)


class QwenCaptioner:
    """Describes clips with a model of zoo kind ``qwen_vl``.

    Args:
        model: Object with ``answer(videos, dialogues, max_tokens, rates)``.
        id: What rows call it.
        config: The section.
    """

    def __init__(self, model, id: str, config: CaptionsConfig) -> None:
        self.model, self.id, self.config = model, id, config
        prompt = load_prompt(config.prompt)
        self.prompt, self.prompt_version = prompt.text, prompt.version

    @classmethod
    def open(cls, config: CaptionsConfig, parts: dict[str, Path], device: str) -> "QwenCaptioner":
        """Open the model that the config names: an artefact handed over as a part, a
        local folder or a hub id.

        Raises:
            EadbenchError: If the part is missing, a hub id has no revision, or the
                model cannot be read.
        """
        from eadbench.zoo.card import read_card, verify
        from eadbench.zoo.kinds.qwen_vl import open_model

        qwen = config.qwen
        if qwen.artefact:
            if qwen.artefact not in parts:
                hint = f"add --part {qwen.artefact}=results/zoo/{qwen.artefact}"
                raise EadbenchError("the captioner's model was not handed over", qwen.artefact, hint)
            folder = parts[qwen.artefact]
            card = read_card(folder)
            verify(folder, card)
            source, name = str(folder), f"{card.id}@{card.sha256[:12]}"
        elif Path(qwen.model).is_dir():
            source, name = qwen.model, f"{Path(qwen.model).name}@{_fingerprint(Path(qwen.model))}"
        elif qwen.revision:
            source, name = qwen.model, f"{qwen.model}@{qwen.revision[:12]}"
        else:
            raise EadbenchError(
                f"{qwen.model!r} is no folder here, and a hub id needs its revision",
                "captions.qwen.revision",
                "give the commit",
            )
        log.info("opening %s", name)
        model = open_model(
            source,
            pick_device(device),
            qwen.revision,
            qwen.dtype,
            qwen.four_bit,
            qwen.frames_as,
            qwen.repetition_penalty,
        )
        return cls(model, name, config)

    def describe(self, clips: Sequence[ClipsRow]) -> Iterator[Outcome]:
        """Outcomes batch by batch; the next batch's frames are decoded while the model
        works.
        """
        size = self.config.batch
        batches = [clips[start : start + size] for start in range(0, len(clips), size)]
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._read, batches[0]) if batches else None
            for number in range(len(batches)):
                videos, failed = ahead.result()
                ahead = reader.submit(self._read, batches[number + 1]) if number + 1 < len(batches) else None
                yield from failed
                yield from self._ask(videos)

    def _read(self, batch: Sequence[ClipsRow]) -> tuple[dict[str, tuple[np.ndarray, float]], list[Outcome]]:
        videos, failed = {}, []
        for clip in batch:
            try:
                frames = clip_frames(clip.video, self.config.frames, self.config.qwen.max_pixels)
            except Exception as error:
                failed.append(Outcome(clip.clip_id, None, reason_of(error, clip.clip_id)))
                continue
            videos[clip.clip_id] = frames, rate_shown(clip, len(frames))
        return videos, failed

    def _ask(self, videos: dict[str, tuple[np.ndarray, float]]) -> Iterator[Outcome]:
        """Ask once; those whose answer cannot be used are asked once more, shown what
        they said.
        """
        dialogues = {name: [("user", self.prompt)] for name in videos}
        for last in (False, True):
            if not dialogues:
                return
            answers = self._answers({name: videos[name] for name in dialogues}, dialogues)
            again = {}
            for name, text in answers.items():
                try:
                    yield Outcome(name, self._parse(text))
                except AnswerError as error:
                    if last:
                        yield Outcome(name, None, str(error))
                    else:
                        again[name] = [
                            *dialogues[name],
                            ("assistant", text[: self.config.max_characters]),
                            ("user", AGAIN),
                        ]
            dialogues = again

    def _answers(self, videos: dict[str, tuple[np.ndarray, float]], dialogues: dict) -> dict[str, str]:
        frames, rates = zip(*videos.values(), strict=True)
        texts = self.model.answer(frames, list(dialogues.values()), self.config.max_tokens, rates)
        return dict(zip(videos, texts, strict=True))

    def _parse(self, text: str) -> Answer:
        return parse_answer(text, self.config.max_characters)


def _fingerprint(folder: Path) -> str:
    """First digits of a hash over the folder's config and the names and sizes of its
    weights; cheap, as weights may have many gigabytes.
    """
    files = sorted((p.name, p.stat().st_size) for p in folder.iterdir() if p.is_file())
    config = (folder / "config.json").read_bytes() if (folder / "config.json").exists() else b""
    return hashlib.sha256(config + repr(files).encode()).hexdigest()[:12]
