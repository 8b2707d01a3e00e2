"""Random weights in the files of the published networks: their formats, names of
tensors, shapes and number types.

Every id of the registry that the paper's run fetches has a writer. Configurations and
names are those of the published files, not those that today's libraries would write:
transformers and diffusers load older spellings by rules of theirs, and the rehearsal
goes through those rules. A ``depth`` (blocks of each stack) makes large networks fit
into less memory and disk; widths, vocabularies and inputs stay as published, unless
channels or narrow layers are asked for.
"""

import io
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from rehearsal import tokenizers
from safetensors.torch import save_file
from torch import nn

from eadbench.core.files import atomic_path
from eadbench.zoo.kinds import i3d, inception, lpips

SHARD = 1 << 31  # bytes of a shard of large weights
SEED = 25
NOISE = (
    1_000_003  # normal numbers drawn once; tensors are stretches of them, which takes a twentieth of the time
)


def drawn(
    names: Iterable[tuple[str, torch.Tensor]], dtype: torch.dtype | None = torch.float32
) -> dict[str, torch.Tensor]:
    """Values for a network's tensors (their shapes count alone; they may lie on
    ``meta``): weights of the size that keeps signals at theirs, norms and statistics
    near those of unit normal data, biases near zero; no two tensors alike, so that one
    in the wrong place shows.

    Args:
        names: Name and tensor of each.
        dtype: Numbers of what is floating; ``None`` leaves each its own.
    """
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(NOISE, generator=generator)
    state = {}
    for name, tensor in names:
        last = name.rpartition(".")[2]
        kind = (dtype or tensor.dtype) if tensor.is_floating_point() else tensor.dtype
        if not tensor.is_floating_point():
            state[name] = torch.zeros(tensor.shape, dtype=kind)
            continue
        one_row = tensor.dim() < 2
        mean = 1.0 if last == "running_var" or (one_row and last == "weight") else 0.0
        scale = 0.02 if one_row or "embed" in name or "shared" in name else tensor[0].numel() ** -0.5
        start, count = int(torch.randint(NOISE, (), generator=generator)), tensor.numel()
        block = (mean + scale * noise.roll(-start)[:count]).to(kind)
        # a view keeps its whole storage
        state[name] = block.repeat(-(-count // NOISE))[:count].clone().view(tensor.shape)
    return state


def on_meta(make: Callable[[], nn.Module]) -> dict[str, torch.Tensor]:
    """Names and shapes of a network that is never built."""
    with torch.device("meta"):
        return make().state_dict()


def renamed(state: dict[str, torch.Tensor], rules: dict[str, str]) -> dict[str, torch.Tensor]:
    """The same tensors under names in which each key of ``rules`` became its value."""
    found = {}
    for name, tensor in state.items():
        for old, new in rules.items():
            name = name.replace(old, new)
        found[name] = tensor
    return found


def save_safetensors(path: Path, state: dict[str, torch.Tensor]) -> None:
    with atomic_path(path) as part:
        save_file(state, part, {"format": "pt"})


def save_pickle(path: Path, content: Any, zipped: bool = True) -> None:
    with atomic_path(path) as part:
        torch.save(content, part, _use_new_zipfile_serialization=zipped)


def save_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


# --- EAD-Net's frozen parts ---


def write_vae(
    folder: Path, depth: int | None = None, channels: tuple[int, ...] = (128, 256, 512, 512)
) -> None:
    """Its file spells the attention of the middle block as diffusers did in 2022, and
    its configuration lacks the scaling factor.
    """
    from diffusers import AutoencoderKL

    config = {
        "act_fn": "silu",
        "block_out_channels": list(channels),
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": depth or 2,
        "norm_num_groups": 32,
        "out_channels": 3,
        "sample_size": 256,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    }
    save_json(
        folder / "config.json", {"_class_name": "AutoencoderKL", "_diffusers_version": "0.4.2"} | config
    )
    state = on_meta(lambda: AutoencoderKL(**config))
    old = {
        "attentions.0.to_q": "attentions.0.query",
        "attentions.0.to_k": "attentions.0.key",
        "attentions.0.to_v": "attentions.0.value",
    }
    state = renamed(state, old | {"attentions.0.to_out.0": "attentions.0.proj_attn"})
    save_safetensors(folder / "diffusion_pytorch_model.safetensors", drawn(state.items()))


def unet_of(channels: tuple[int, ...], layers: int) -> nn.Module:
    """A U-Net of Stable Diffusion 1.5's kind."""
    from diffusers import UNet2DConditionModel

    crossed = len(channels) - 1
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        cross_attention_dim=768,
        attention_head_dim=8,
        layers_per_block=layers,
        block_out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D",) * crossed + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * crossed,
    )


def write_unet(
    folder: Path, depth: int | None = None, channels: tuple[int, ...] = (320, 640, 1280, 1280)
) -> None:
    """``depth``: residual blocks per level; published are 2 of each in 4 levels."""
    state = on_meta(lambda: unet_of(channels, depth or 2))
    save_safetensors(folder / "diffusion_pytorch_model.safetensors", drawn(state.items()))


def write_whisper(folder: Path, depth: int | None = None) -> None:
    import whisper

    sizes = {"state": 384, "head": 6, "layer": 4}
    dims = {"n_mels": 80, "n_vocab": 51865, "n_audio_ctx": 1500, "n_text_ctx": 448}
    dims |= {f"n_{side}_{what}": value for side in ("audio", "text") for what, value in sizes.items()}
    model = whisper.model.Whisper(whisper.model.ModelDimensions(**dims))
    state = drawn(model.state_dict().items(), torch.float16)
    state["encoder.positional_embedding"] = model.encoder.positional_embedding.half()
    save_pickle(folder / "tiny.pt", {"dims": dims, "model_state_dict": state})


def write_videomae(folder: Path, depth: int | None = None) -> None:
    """The published file is of the whole autoencoder, with ``q_bias`` and ``v_bias``
    beside the projections.
    """
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    config = {
        "attention_probs_dropout_prob": 0.0,
        "decoder_hidden_size": 384,
        "decoder_intermediate_size": 1536,
        "decoder_num_attention_heads": 6,
        "decoder_num_hidden_layers": 4,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": 768,
        "image_size": 224,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-12,
        "model_type": "videomae",
        "norm_pix_loss": True,
        "num_attention_heads": 12,
        "num_channels": 3,
        "num_frames": 16,
        "num_hidden_layers": depth or 12,
        "patch_size": 16,
        "qkv_bias": True,
        "tubelet_size": 2,
        "use_mean_pooling": False,
    }
    save_json(
        folder / "config.json",
        {
            "architectures": ["VideoMAEForPreTraining"],
            "torch_dtype": "float32",
            "transformers_version": "4.22.0",
        }
        | config,
    )
    state = on_meta(lambda: VideoMAEForPreTraining(VideoMAEConfig(**config)))
    state = renamed(
        state, {"attention.query.bias": "attention.q_bias", "attention.value.bias": "attention.v_bias"}
    )
    save_safetensors(folder / "model.safetensors", drawn(state.items()))


# --- text, captions and their filter ---


def write_t5(folder: Path, depth: int | None = None) -> None:
    """The published file holds encoder and decoder, one shared embedding, and a tensor
    that later T5s lack.
    """
    from transformers import T5Config, T5ForConditionalGeneration

    config = {
        "d_ff": 3072,
        "d_kv": 64,
        "d_model": 768,
        "decoder_start_token_id": 0,
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": "t5",
        "n_positions": 512,
        "num_heads": 12,
        "num_layers": depth or 12,
        "output_past": True,
        "pad_token_id": 0,
        "relative_attention_num_buckets": 32,
        "vocab_size": 32128,
    }
    save_json(folder / "config.json", {"architectures": ["T5ForConditionalGeneration"]} | config)
    state = on_meta(lambda: T5ForConditionalGeneration(T5Config(**config)))
    state = {
        name: tensor
        for name, tensor in state.items()
        if "embed_tokens" not in name and name != "lm_head.weight"
    }
    extra = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    state[extra] = state["decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    save_safetensors(folder / "model.safetensors", drawn(state.items()))
    tokenizers.write_t5(folder)


def write_minilm(folder: Path, depth: int | None = None) -> None:
    from transformers import BertConfig, BertModel

    config = {
        "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 384,
        "initializer_range": 0.02,
        "intermediate_size": 1536,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 12,
        "num_hidden_layers": depth or 6,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": 30522,
    }
    save_json(
        folder / "config.json",
        {"_name_or_path": "nreimers/MiniLM-L6-H384-uncased", "architectures": ["BertModel"]} | config,
    )
    state = drawn(on_meta(lambda: BertModel(BertConfig(**config))).items())
    save_safetensors(
        folder / "model.safetensors", {"embeddings.position_ids": torch.arange(512)[None]} | state
    )
    tokenizers.write_bert(folder)


QWEN25 = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "vision_token_id": 151654,
    "image_token_id": 151655,
    "video_token_id": 151656,
    "hidden_act": "silu",
    "hidden_size": 3584,
    "initializer_range": 0.02,
    "intermediate_size": 18944,
    "max_position_embeddings": 128000,
    "max_window_layers": 28,
    "model_type": "qwen2_5_vl",
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.41.2",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 152064,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "vision_config": {
        "depth": 32,
        "hidden_act": "silu",
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "in_chans": 3,
        "out_hidden_size": 3584,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2,
        "temporal_patch_size": 2,
    },
}
NARROW = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_window_layers": 1,
}
NARROW_EYES = {"hidden_size": 64, "intermediate_size": 96, "num_heads": 4, "out_hidden_size": 128}
CLIP_COLOURS = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
QWEN3 = {
    "architectures": ["Qwen3VLForConditionalGeneration"],
    "image_token_id": 151655,
    "model_type": "qwen3_vl",
    "text_config": {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 151643,
        "dtype": "bfloat16",
        "eos_token_id": 151645,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 4096,
        "initializer_range": 0.02,
        "intermediate_size": 12288,
        "max_position_embeddings": 262144,
        "model_type": "qwen3_vl_text",
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"},
        "rope_theta": 5000000,
        "use_cache": True,
        "vocab_size": 151936,
    },
    "tie_word_embeddings": False,
    "transformers_version": "4.57.0.dev0",
    "video_token_id": 151656,
    "vision_config": {
        "deepstack_visual_indexes": [8, 16, 24],
        "depth": 27,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 1152,
        "in_channels": 3,
        "initializer_range": 0.02,
        "intermediate_size": 4304,
        "model_type": "qwen3_vl",
        "num_heads": 16,
        "num_position_embeddings": 2304,
        "out_hidden_size": 4096,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    },
    "vision_end_token_id": 151653,
    "vision_start_token_id": 151652,
}


def narrowed(config: dict[str, Any]) -> dict[str, Any]:
    """A language model's published configuration in its published form, with narrow
    layers; the vocabulary stays.
    """
    config = json.loads(json.dumps(config))
    text = config.get("text_config", config)
    text.update({key: value for key, value in NARROW.items() if key in text})
    text["rope_scaling"]["mrope_section"] = [4, 6, 6]
    if "head_dim" in text:
        text["head_dim"] = 32
    config["vision_config"].update(NARROW_EYES)
    return config


def write_qwen25(folder: Path, depth: int | None = None, narrow: bool = False) -> None:
    """Of the release of January 2025: a flat configuration, ``model.layers`` and
    ``visual`` beside each other, one configuration for pictures and videos, a chat
    template in a file of its own.
    """
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    config = narrowed(QWEN25) if narrow else json.loads(json.dumps(QWEN25))
    if depth:
        config["num_hidden_layers"] = config["vision_config"]["depth"] = depth
        config["vision_config"]["fullatt_block_indexes"] = [depth - 1]
    save_json(folder / "config.json", config)
    state = on_meta(lambda: Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**config)))
    tokenizers.write_qwen(folder, processor="Qwen2_5_VLProcessor")
    save_shards(folder, renamed(state, {"model.visual.": "visual.", "model.language_model.": "model."}))
    penalties = {"do_sample": True, "repetition_penalty": 1.05, "temperature": 0.000001}
    save_json(
        folder / "generation_config.json",
        {"bos_token_id": 151643, "eos_token_id": [151645, 151643], "pad_token_id": 151643} | penalties,
    )
    pictures = {
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
    } | CLIP_COLOURS
    classes = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"}
    save_json(folder / "preprocessor_config.json", pictures | classes)


def write_qwen3(folder: Path, depth: int | None = None, narrow: bool = False) -> None:
    """Of the release of October 2025: nested configurations, one for pictures and one
    for videos.
    """
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    config = narrowed(QWEN3) if narrow else json.loads(json.dumps(QWEN3))
    if depth:
        config["text_config"]["num_hidden_layers"] = config["vision_config"]["depth"] = depth
        config["vision_config"]["deepstack_visual_indexes"] = list(range(min(depth, 3)))
    save_json(folder / "config.json", config)
    tokenizers.write_qwen(folder, processor="Qwen3VLProcessor")
    save_shards(folder, on_meta(lambda: Qwen3VLForConditionalGeneration(Qwen3VLConfig(**config))))
    sampling = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.0}
    save_json(
        folder / "generation_config.json",
        {"bos_token_id": 151643, "eos_token_id": [151645, 151643], "pad_token_id": 151643} | sampling,
    )
    common = {
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    common["processor_class"] = "Qwen3VLProcessor"
    pictures = {
        "size": {"longest_edge": 16777216, "shortest_edge": 65536},
        "image_processor_type": "Qwen2VLImageProcessorFast",
    }
    videos = {
        "size": {"longest_edge": 25165824, "shortest_edge": 4096},
        "video_processor_type": "Qwen3VLVideoProcessor",
    }
    save_json(folder / "preprocessor_config.json", common | pictures)
    save_json(folder / "video_preprocessor_config.json", common | videos)


def save_shards(folder: Path, names: dict[str, torch.Tensor]) -> None:
    """Draw and write bfloat16 weights in shards with their index, so that the memory
    holds one shard at a time.
    """
    shards, size = [[]], 0
    for name, tensor in names.items():
        if size and size + 2 * tensor.numel() > SHARD:
            shards.append([])
            size = 0
        shards[-1].append((name, tensor))
        size += 2 * tensor.numel()
    files = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    embedded = None
    for file, shard in zip(files, shards, strict=True):
        state = drawn(shard, torch.bfloat16)
        embedded = make_it_answer(folder, state, embedded)
        save_safetensors(folder / file, state)
    where = {name: file for file, shard in zip(files, shards, strict=True) for name, _ in shard}
    total = sum(2 * tensor.numel() for tensor in names.values())
    save_json(
        folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where}
    )


def make_it_answer(
    folder: Path, state: dict[str, torch.Tensor], embedded: torch.Tensor | None
) -> torch.Tensor | None:
    """Wire a language model so that it answers in the form that the captions want,
    since random words are no captions: embeddings stand out against what the layers
    add, and the last layer says one of the tokenizer's answers after the line end that
    closes a prompt, then ends. Which one is up to what the layers make of the video.

    Args:
        folder: Holds the tokenizer.
        state: Weights of a shard; changed in place.
        embedded: Embeddings of the line end and of the answers ``(1 + K, D)``, from the
            shard that has them.
    """
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    answers = [vocabulary[text] for text in tokenizers.ANSWERS]
    for name, tensor in state.items():
        if "visual" not in name and name.endswith(("o_proj.weight", "down_proj.weight")):
            tensor *= 0.1
        elif name.endswith("embed_tokens.weight"):
            tensor *= 1 / 0.02
            embedded = tensor[[vocabulary[tokenizers.LINE_END], *answers]].clone()
        elif name == "lm_head.weight":
            width = tensor.shape[1]
            tensor[answers] = (embedded[0] * 20 / width + tensor[answers].float() * 5).to(tensor.dtype)
            tensor[tokenizers.QWEN_SPECIALS.index("<|im_end|>") + tokenizers.QWEN_FIRST_SPECIAL] = (
                embedded[1:].sum(0) * 20 / width
            )
    return embedded


# --- evaluators of the scores ---


def write_syncnet(folder: Path, depth: int | None = None) -> None:
    from eadbench.models.syncnet_evaluator import SyncNetV2

    save_pickle(folder / "syncnet_v2.model", drawn(SyncNetV2().state_dict().items()), zipped=False)


def write_emotion_fan(folder: Path, depth: int | None = None) -> None:
    """A checkpoint of the released training, which ran on several GPUs."""
    from eadbench.models.emotion_fan import EmotionFAN

    state = drawn(EmotionFAN(8).state_dict().items())
    content = {
        "epoch": 61,
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "prec1": torch.tensor(84.3655),
    }
    save_pickle(folder / "self_relation-attention_61_84.3655", content)


def write_hsemotion(folder: Path, depth: int | None = None) -> None:
    from torchvision.models import efficientnet_b2

    save_onnx(folder / "enet_b2_8.onnx", efficientnet_b2(num_classes=8), 260, "input", "output")


def write_inception(folder: Path, depth: int | None = None) -> None:
    from pytorch_fid import inception as published

    with (
        mock.patch.object(published, "load_state_dict_from_url", lambda *_, **__: None),
        mock.patch.object(nn.Module, "load_state_dict"),
    ):
        state = published.fid_inception_v3().state_dict()
    save_pickle(folder / inception.OFFICIAL, drawn(state.items()))


def write_alexnet(folder: Path, depth: int | None = None) -> None:
    from torchvision.models import alexnet

    save_pickle(folder / lpips.OFFICIAL, drawn(on_meta(lambda: alexnet(weights=None)).items()), zipped=False)


class Rescaled(nn.Module):
    """Called as StyleGAN-V's I3D is; gives 400 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(3 * 8, 400, generator=torch.Generator().manual_seed(SEED)))

    def forward(
        self, x: torch.Tensor, rescale: bool = True, resize: bool = True, return_features: bool = True
    ) -> torch.Tensor:
        if resize:
            n, _, t = x.shape[:3]
            frames = x.transpose(1, 2).flatten(0, 1)
            frames = nn.functional.interpolate(frames, size=[224, 224], mode="bilinear", align_corners=False)
            x = frames.unflatten(0, [n, t]).transpose(1, 2)
        if rescale:
            x = x / 127.5 - 1
        return nn.functional.adaptive_avg_pool3d(x, [2, 2, 2]).flatten(1) @ self.weight


def write_i3d(folder: Path, depth: int | None = None) -> None:
    """A small module of the published one's call; its 51 MB are a program of their own,
    which we do not have.
    """
    with atomic_path(folder / i3d.OFFICIAL) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the published file is torchscript
        torch.jit.script(Rescaled()).save(str(part))


class IResNetBlock(nn.Module):
    """Block of ArcFace's ResNets (Deng et al. 2019, improved residual unit)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(before), nn.Conv2d(before, after, 3, 1, 1, bias=False)
        self.bn2, self.prelu = nn.BatchNorm2d(after), nn.PReLU(after)
        self.conv2, self.bn3 = nn.Conv2d(after, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        same = stride == 1 and before == after
        self.downsample = (
            None
            if same
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))) + shortcut


def iresnet50() -> nn.Module:
    """ArcFace's R50: ``(N, 3, 112, 112)`` to ``(N, 512)``."""
    blocks, before = [], 64
    for after, count in ((64, 3), (128, 4), (256, 14), (512, 3)):
        for number in range(count):
            blocks.append(IResNetBlock(before, after, 1 if number else 2))
            before = after
    stem = (nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
    head = (nn.BatchNorm2d(512), nn.Flatten(), nn.Linear(512 * 7 * 7, 512), nn.BatchNorm1d(512))
    return nn.Sequential(*stem, *blocks, *head)


def write_arcface(folder: Path, depth: int | None = None) -> None:
    """In a zip, as the pack is."""
    save_onnx(folder / "w600k_r50.onnx", iresnet50(), 112, "input.1", "683")
    with atomic_path(folder / "buffalo_l.zip") as part, zipfile.ZipFile(part, "w") as pack:
        pack.write(folder / "w600k_r50.onnx", "buffalo_l/w600k_r50.onnx")


def save_onnx(path: Path, network: nn.Module, size: int, given: str, found: str) -> None:
    """Export a network ``(N, 3, size, size)`` with free N, with random weights. The
    exporter refuses names of digits, which are put in later.
    """
    import onnx

    network.load_state_dict(drawn(network.state_dict().items()))
    names = {"given": given, "found": found}
    whole = io.BytesIO()
    free = {key: {0: "batch"} for key in names}
    torch.onnx.export(
        network.eval(),
        torch.zeros(1, 3, size, size),
        whole,
        input_names=["given"],
        output_names=["found"],
        dynamic_axes=free,
        dynamo=False,
    )
    model = onnx.load_from_string(whole.getvalue())
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(name, name) for name in ends]
    with atomic_path(path) as part:
        onnx.save(model, part)


WRITERS: dict[str, Callable[..., None]] = {
    "sd-vae-ft-mse": write_vae,
    "sd15-unet": write_unet,
    "whisper-tiny": write_whisper,
    "videomae-base": write_videomae,
    "t5-base": write_t5,
    "all-MiniLM-L6-v2": write_minilm,
    "Qwen2.5-VL-7B-Instruct": write_qwen25,
    "Qwen3-VL-8B-Instruct": write_qwen3,
    "syncnet-v2": write_syncnet,
    "emotion-fan-mead": write_emotion_fan,
    "hsemotion-b2-8": write_hsemotion,
    "arcface-w600k-r50": write_arcface,
    "inception-fid": write_inception,
    "i3d-torchscript": write_i3d,
    "lpips-alex": write_alexnet,
}


def write(name: str, folder: Path, **options: Any) -> Path:
    """Write the files of a published id into ``folder/name``, unless it was written
    with the same options before; gives that folder.
    """
    target, note = folder / name, json.dumps(options, sort_keys=True)
    done = target / ".written"
    if not done.exists() or done.read_text() != note:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        WRITERS[name](target, **options)
        done.write_text(note)
    return target
