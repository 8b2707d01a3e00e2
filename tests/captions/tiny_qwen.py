"""A Qwen2.5-VL of 200 thousand random weights with a tokenizer trained on the spot, in
the folder form of transformers.
"""

from pathlib import Path

import numpy as np
import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from eadbench.captions.prompts import AGAIN, load_prompt

ANSWER = (
    '{"description": "The brows are lowered and the lips are pressed together.", "emotion": "angry", '
    '"intensity": 0.8, "confidence": 0.9}'
)
SPECIALS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_processor() -> tf.Qwen2_5_VLProcessor:
    """Byte-level BPE trained on the prompt and an answer, small image sizes."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator([load_prompt("describe").text, ANSWER, AGAIN, "user assistant"] * 8, trainer)
    tokenizer = tf.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIALS[1:],
    )
    tokenizer.image_token, tokenizer.video_token = "<|image_pad|>", "<|video_pad|>"
    sizes = {
        "min_pixels": 4 * 28 * 28,
        "max_pixels": 16 * 28 * 28,
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
    }
    return tf.Qwen2_5_VLProcessor(
        image_processor=tf.Qwen2VLImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=tf.Qwen2VLVideoProcessor(**sizes),
        chat_template=CHAT,
    )


def make_model(processor: tf.Qwen2_5_VLProcessor, seed: int = 0) -> tf.Qwen2_5_VLForConditionalGeneration:
    """Random weights; ``mrope_section`` must sum to half of the heads' width."""
    torch.manual_seed(seed)
    number = processor.tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": len(processor.tokenizer), "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 4096, "bos_token_id": number("<|im_start|>"),
        "eos_token_id": number("<|im_end|>"),
        "pad_token_id": number("<|endoftext|>"), "rope_parameters": {"rope_type": "default",
        "mrope_section": [2, 3, 3], "rope_theta": 1e6},
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 64,
        "patch_size": 14, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "window_size": 56, "fullatt_block_indexes": [1], "tokens_per_second": 2,
    }  # fmt: skip
    config = tf.Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"), vision_end_token_id=number("<|vision_end|>"),
    )  # fmt: skip
    return tf.Qwen2_5_VLForConditionalGeneration(config).eval()


def make_qwen3() -> tuple[tf.Qwen3VLForConditionalGeneration, tf.Qwen3VLProcessor]:
    """The same for Qwen3-VL, whose patches, positions and time stamps differ."""
    torch.manual_seed(0)
    tokenizer = make_processor().tokenizer
    tokenizer.vision_start_token, tokenizer.vision_end_token = "<|vision_start|>", "<|vision_end|>"
    number = tokenizer.convert_tokens_to_ids
    patches = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    images = tf.Qwen2VLImageProcessor(min_pixels=4 * 32 * 32, max_pixels=16 * 32 * 32, **patches)
    videos = tf.Qwen3VLVideoProcessor(
        size={"shortest_edge": 4 * 32 * 32, "longest_edge": 64 * 32 * 32}, **patches
    )
    processor = tf.Qwen3VLProcessor(
        image_processor=images, tokenizer=tokenizer, video_processor=videos, chat_template=CHAT
    )
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "mrope_interleaved": True, "rope_theta": 1e6}
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "head_dim": 16,
        "num_key_value_heads": 2, "max_position_embeddings": 4096, "rope_parameters": rope,
        "eos_token_id": number("<|im_end|>"),
        "pad_token_id": number("<|endoftext|>"),
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 64,
        "patch_size": 16, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    config = tf.Qwen3VLConfig(
        text_config=text, vision_config=vision, image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"), vision_end_token_id=number("<|vision_end|>"),
    )  # fmt: skip
    return tf.Qwen3VLForConditionalGeneration(config).eval(), processor


def save(folder: Path, model, processor) -> Path:
    """Write the folder that ``from_pretrained`` reads."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def teach(model, processor, frames: int, size: int, steps: int = 90) -> float:
    """Overfit the model to say ``ANSWER`` to the prompt and any frames; returns the
    last loss.
    """
    shown = [{"type": "image"}] * frames
    asked = [{"role": "user", "content": [*shown, {"type": "text", "text": load_prompt("describe").text}]}]
    prompt = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    loss = None
    for _ in range(steps):
        rough = int(rng.integers(1, 120))  # from flat colours to noise
        images = [
            np.uint8(rng.integers(0, 255 - rough, 3) + rng.integers(0, rough, (size, size, 3)))
            for _ in range(frames)
        ]
        inputs = processor(text=[prompt + ANSWER + "<|im_end|>"], images=[images], return_tensors="pt")
        length = len(processor.tokenizer(ANSWER + "<|im_end|>")["input_ids"])
        labels = inputs["input_ids"].clone()
        labels[:, :-length] = -100
        loss = model(**inputs, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())
