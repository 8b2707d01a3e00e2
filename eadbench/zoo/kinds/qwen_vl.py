"""Kind ``qwen_vl``: a vision-language model of the Qwen VL family (Qwen2.5-VL,
Qwen3-VL) through transformers, asked about short videos.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from eadbench.core.errors import EadbenchError
from eadbench.zoo.card import Card

Turn = tuple[Literal["user", "assistant"], str]


class QwenVl:
    """Greedy answers in batches.

    Args:
        model: What ``AutoModelForImageTextToText`` gives.
        processor: What ``AutoProcessor`` gives.
        frames_as: Show frames as one ``video`` or as ``images``.
        repetition_penalty: Divides the scores of tokens that occur in prompt or answer;
            1 for none.
    """

    def __init__(
        self, model: Any, processor: Any, frames_as: str = "images", repetition_penalty: float = 1.0
    ) -> None:
        from transformers import GenerationConfig

        self.model, self.processor, self.frames_as = model.eval(), processor, frames_as
        processor.tokenizer.padding_side = "left"  # answers begin where prompts end
        # Of the published settings only the ends of an answer are kept. They sample,
        # and Qwen2.5-VL's have a repetition penalty of 1.05, which in transformers 5
        # counts without sampling too, and for every token of the prompt: the words that
        # the answer is to choose from.
        published = model.generation_config
        model.generation_config = GenerationConfig(
            do_sample=False, num_beams=1, repetition_penalty=repetition_penalty, no_repeat_ngram_size=0,
            bos_token_id=published.bos_token_id, eos_token_id=published.eos_token_id,
            pad_token_id=processor.tokenizer.pad_token_id,
        )  # fmt: skip

    @torch.inference_mode()
    def answer(
        self,
        videos: Sequence[np.ndarray],
        dialogues: Sequence[Sequence[Turn]],
        max_tokens: int,
        rates: Sequence[float],
    ) -> list[str]:
        """One answer per video.

        Args:
            videos: Frames ``(F, H, W, 3)`` RGB uint8 each; counts and sizes may differ.
            dialogues: Turns of each; the first, the user's, is shown the frames.
            max_tokens: Longest answer.
            rates: Frames per second among the frames shown, of each.

        Words may differ with the batch that a video is in where half precision rounds;
        in float32 no difference was seen.

        Raises:
            EadbenchError: If the GPU's memory does not suffice.
        """
        inputs = self.inputs(videos, dialogues, rates)
        for name, value in inputs.items():
            if isinstance(value, torch.Tensor):
                dtype = self.model.dtype if value.is_floating_point() else value.dtype
                inputs[name] = value.to(self.model.device).to(dtype)
        try:
            tokens = self.model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
        except torch.OutOfMemoryError as error:
            raise EadbenchError(
                "the GPU's memory does not suffice for the batch",
                f"{len(videos)} videos",
                "lower captions.batch or frames",
            ) from error
        return self.processor.batch_decode(
            tokens[:, inputs["input_ids"].shape[1] :],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )

    def inputs(
        self, videos: Sequence[np.ndarray], dialogues: Sequence[Sequence[Turn]], rates: Sequence[float]
    ) -> dict[str, Any]:
        """Inputs of the model for :meth:`answer`, on the CPU."""
        texts = [self._prompt(len(video), turns) for video, turns in zip(videos, dialogues, strict=True)]
        if self.frames_as == "video":
            paired_videos, metadata = zip(*map(as_video, videos, rates), strict=True)
            media = {
                "videos": [list(video) for video in paired_videos],
                "videos_kwargs": {"do_sample_frames": False, "video_metadata": list(metadata)},
            }
        else:
            media = {"images": [list(video) for video in videos]}
        return dict(self.processor(text=texts, padding=True, return_tensors="pt", **media))

    def _prompt(self, frames: int, turns: Sequence[Turn]) -> str:
        media = [{"type": "video"}] if self.frames_as == "video" else [{"type": "image"}] * frames
        messages = []
        for number, (role, text) in enumerate(turns):
            content = [*(media if number == 0 else []), {"type": "text", "text": text}]
            messages.append({"role": role, "content": content})
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        start, end = (getattr(self.processor, f"vision_{name}_token", None) for name in ("start", "end"))
        if self.frames_as == "video" and start:
            # Qwen3-VL's processor sets these tokens around each pair of frames. In the
            # model's release (transformers 4.57) and in vLLM, its text replaces the
            # template's own start and end tokens, too; transformers 5.23 leaves those
            # around it, and the model sees them twice.
            video = self.processor.video_token
            text = text.replace(f"{start}{video}{end}", video)
        return text


def as_video(frames: np.ndarray, rate: float) -> tuple[np.ndarray, dict[str, Any]]:
    """Frames as one video: in pairs, as the models take them (of an odd number the last
    one twice), and its metadata, as transformers' ``VideoMetadata`` and vLLM name it.

    Args:
        frames: ``(F, H, W, 3)`` RGB uint8.
        rate: Frames per second.
    """
    video = np.concatenate([frames, frames[-1:]]) if len(frames) % 2 else frames
    metadata = {
        "fps": rate,
        "total_num_frames": len(video),
        "duration": len(video) / rate,
        "frames_indices": list(range(len(video))),
    }
    return video, metadata


def open_model(
    source: str,
    device: Any = "cpu",
    revision: str | None = None,
    dtype: str = "auto",
    four_bit: bool = False,
    frames_as: str = "images",
    repetition_penalty: float = 1.0,
) -> QwenVl:
    """Open a local folder, or a hub id at a revision (downloaded by transformers to its
    own cache).

    Raises:
        EadbenchError: If it cannot be read, is not such a model, or 4 bit is not
            possible here.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    device = torch.device(device)
    options: dict[str, Any] = {"dtype": getattr(torch, _dtype(dtype, device))}
    if four_bit:
        options |= {"quantization_config": _four_bit(device), "device_map": {"": device}}
    elif device.type == "cuda":
        # weights are read straight to the GPU, never as a whole into the CPU's memory
        options["device_map"] = {"": device}
    local = Path(source).is_dir()
    try:
        processor = AutoProcessor.from_pretrained(source, revision=revision, local_files_only=local)
        model = AutoModelForImageTextToText.from_pretrained(
            source, revision=revision, local_files_only=local, **options
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        message = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        hint = (
            "for a local folder: fetch it whole; for a hub id: check id, revision and network, or use "
            "an artefact (`eadbench zoo list`)"
        )
        raise EadbenchError(f"the vision-language model cannot be read: {message}", source, hint) from error
    _bound_pixels_per_video(processor)
    return QwenVl(model, processor, frames_as, repetition_penalty)


def _bound_pixels_per_video(processor: Any) -> None:
    """The bound of qwen-vl-utils, far above our few frames. transformers 5.23 warns in
    each job where nobody says which, and announces it as the default.
    """
    video_processor = getattr(processor, "video_processor", None)
    if getattr(video_processor, "cap_pixels_per_frame", False) is None:
        video_processor.cap_pixels_per_frame = True


def _dtype(dtype: str, device: torch.device) -> str:
    if dtype != "auto":
        return dtype
    return "bfloat16" if device.type == "cuda" else "float32"


def _four_bit(device: torch.device) -> Any:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise EadbenchError(
            "4 bit needs the package bitsandbytes",
            "captions.qwen.four_bit",
            "pip install bitsandbytes, or four_bit: false",
        ) from error
    if device.type != "cuda":
        raise EadbenchError(
            "4 bit needs a GPU", "captions.qwen.four_bit", "set four_bit: false, or run where a GPU is"
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )


def load(folder: Path, card: Card, device: Any = "cpu") -> QwenVl:
    """An object with ``answer(videos, dialogues, max_tokens)``."""
    return open_model(str(folder), device)
