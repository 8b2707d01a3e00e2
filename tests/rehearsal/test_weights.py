"""Random weights in the published files, fetched from a server on this machine and
loaded as the published ones are.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rehearsal import hub, tokenizers, weights
from safetensors.torch import load_file

from eadbench import zoo
from eadbench.core.errors import EadbenchError
from eadbench.zoo.config import ZooConfig
from eadbench.zoo.fetch import user_cache
from eadbench.zoo.make import ArtefactInputs, make
from eadbench.zoo.registry import entry, registry

SMALL = {
    "t5-base": {"depth": 1},
    "videomae-base": {"depth": 1},
    "all-MiniLM-L6-v2": {"depth": 1},
    "sd15-unet": {"depth": 1, "channels": (64, 128)},
}
QWENS = {name for name in weights.WRITERS if name.startswith("Qwen")}
FACES = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), np.uint8)
MARKS = np.random.default_rng(1).uniform(15, 50, (16, 478, 2))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What the hub serves, and the environment that leads there; a user whose cache is
    empty.
    """
    folder = tmp_path_factory.mktemp("published")
    for name in sorted(set(weights.WRITERS) - QWENS):
        weights.write(name, folder, **SMALL.get(name, {}))
    with hub.hub(folder) as found, pytest.MonkeyPatch.context() as patch:
        for key, value in (found | {"EADBENCH_CACHE": str(folder.parent / "cache")}).items():
            patch.setenv(key, value)
        yield folder


def fetched(name: str, folder: Path, accept: tuple[str, ...] = ("all",)):
    """An artefact made of the served files."""
    wanted = {"kind": entry(name).kind, "how": "fetched", "id": hub.MARK + name}
    # the hub's library reads HF_ENDPOINT when it is imported
    if entry(name).snapshot and not (user_cache() / wanted["id"]).exists():
        command = [sys.executable, "-m", "eadbench", "zoo", "fetch", wanted["id"], "--accept-licence"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    config = ZooConfig.model_validate({"artefacts": {"x": wanted}, "accept_licence": accept})
    card = make("x", config, 1, ArtefactInputs(), folder / name)
    assert card.id.startswith(hub.MARK) and "random weights" in card.facts["title"]
    return zoo.load(folder / name)


def test_every_id_of_the_paper_run_can_be_rehearsed():
    from eadbench.core.settings import load

    artefacts = load(None, [Path(__file__).parents[2] / "config/paper.yaml"], whole=True).zoo.artefacts
    assert {artefact.id for artefact in artefacts.values()} <= set(weights.WRITERS) <= set(registry())


def test_files_are_as_large_as_the_published_ones(served):
    known = {
        (name, file.name): file.size
        for name, found in hub.published().items()
        for file in found.files
        if file.size
    }
    known.pop(("i3d-torchscript", "i3d_torchscript.pt"))  # a program of its own; ours has its call alone
    sizes = {key: (served / Path(*key)).stat().st_size for key in known if key[0] in weights.WRITERS}
    off = {
        key: (size, known[key]) for key, size in sizes.items() if size != pytest.approx(known[key], rel=0.005)
    }
    assert len(sizes) == 5 and not off, off


def test_licences_are_asked_for_and_files_by_hand_are_named(served, tmp_path):
    with pytest.raises(EadbenchError, match=r"licence of random-whisper-tiny .* was not accepted"):
        fetched("whisper-tiny", tmp_path, accept=())
    with pytest.raises(EadbenchError, match="random-emotion-fan-mead has no direct download"):
        fetched("emotion-fan-mead", tmp_path)


def test_the_evaluator_of_emotion_that_was_put_there_by_hand(served, tmp_path):
    target = user_cache() / f"{hub.MARK}emotion-fan-mead"
    target.mkdir(parents=True)
    for path in hub.files_of(served / "emotion-fan-mead"):
        os.link(path, target / path.name)
    evaluator = fetched("emotion-fan-mead", tmp_path)
    assert evaluator.classify(evaluator.run(evaluator.inputs(FACES, MARKS))).shape == (8,)


def test_text_networks(served, tmp_path):
    states, mask = fetched("t5-base", tmp_path).encode(["She looks angry.", "Happy"])
    assert (
        states.shape[::2] == (2, 768)
        and mask.dtype == torch.bool
        and not torch.equal(states[0, 0], states[1, 0])
    )
    sentences = fetched("all-MiniLM-L6-v2", tmp_path)
    assert sentences.embed(["She looks angry.", "Happy"]).shape == (2, 384)
    stored = load_file(served / "all-MiniLM-L6-v2/model.safetensors")
    assert torch.equal(
        sentences.model.embeddings.position_embeddings.weight, stored["embeddings.position_embeddings.weight"]
    )


def test_the_image_autoencoder_in_the_spelling_of_2022(served, tmp_path):
    from eadbench.zoo.kinds.vae import decode, encode

    vae = fetched("sd-vae-ft-mse", tmp_path)
    stored = load_file(served / "sd-vae-ft-mse/diffusion_pytorch_model.safetensors")
    attention = vae.encoder.mid_block.attentions[0]
    assert torch.equal(attention.to_q.weight, stored["encoder.mid_block.attentions.0.query.weight"])
    assert torch.equal(attention.to_out[0].bias, stored["encoder.mid_block.attentions.0.proj_attn.bias"])
    latents = encode(vae, torch.zeros(1, 3, 64, 64))
    assert (
        vae.config.scaling_factor == 0.18215
        and latents.shape == (1, 4, 8, 8)
        and decode(vae, latents).shape == (1, 3, 64, 64)
    )


def test_speech_and_motion(served, tmp_path):
    from eadbench.zoo.kinds.whisper import encoder_states

    assert encoder_states(fetched("whisper-tiny", tmp_path), torch.randn(1, 80, 40)).shape == (1, 20, 5, 384)
    features = fetched("videomae-base", tmp_path)
    stored = load_file(served / "videomae-base/model.safetensors")
    first = features.model.encoder.layer[0].attention.attention
    assert torch.equal(first.query.bias, stored["videomae.encoder.layer.0.attention.attention.q_bias"])
    assert torch.equal(first.value.bias, stored["videomae.encoder.layer.0.attention.attention.v_bias"])
    assert features(torch.rand(1, 16, 3, 64, 64)).shape == (1, 768)


def test_stable_diffusions_network_fills_ours(served, tmp_path):
    from eadbench.models.config import EADNetConfig
    from eadbench.models.eadnet import EADNet
    from eadbench.models.sd_weights import load_sd_weights

    state = fetched("sd15-unet", tmp_path)
    ours = EADNet(EADNetConfig(block_channels=(64, 128), layers_per_block=1, attention_levels=(0,)))
    report = load_sd_weights(ours, state)
    assert sorted([*report.mapped, *report.unused]) == sorted(state)


@pytest.mark.parametrize(
    "name",
    ["syncnet-v2", "inception-fid", "i3d-torchscript", "lpips-alex", "arcface-w600k-r50", "hsemotion-b2-8"],
)
def test_evaluators(served, tmp_path, name):
    evaluator = fetched(name, tmp_path)
    match name:
        case "syncnet-v2":
            found = list(
                evaluator.score(
                    FACES, np.random.default_rng(0).normal(0, 0.1, 16 * 640).astype(np.float32)
                ).values()
            )
        case "inception-fid":
            found = evaluator.features(FACES[:2])
            assert found.shape == (2, 2048)
        case "i3d-torchscript":
            found = evaluator.features(FACES[None], "stylegan-v")
            assert found.shape == (1, 400)
        case "lpips-alex":
            pictures = torch.from_numpy(FACES[:2]).permute(0, 3, 1, 2) / 127.5 - 1
            found = evaluator(pictures[:1], pictures[1:]).numpy()
        case _:
            found = evaluator.run(evaluator.inputs(FACES[:2], MARKS[:2]))
            assert found.shape == (2, 8 if name.startswith("hsemotion") else 512)
    assert (np.isfinite(found).all() and np.ptp(found) > 0) or (name == "lpips-alex" and found > 0)


def test_shards_and_their_index_hold_every_tensor_once(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHARD", 100_000)
    monkeypatch.setattr(weights, "make_it_answer", lambda folder, state, embedded: None)
    names = {f"layers.{number}.weight": torch.empty(100, 200, device="meta") for number in range(5)}
    weights.save_shards(tmp_path, names)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    assert index.keys() == names.keys() and len(set(index.values())) == 3
    for file in set(index.values()):
        assert sorted(load_file(tmp_path / file)) == sorted(name for name in names if index[name] == file)


def test_the_tokenizer_of_the_captioner_has_the_published_numbers(tmp_path):
    from transformers import AutoTokenizer

    from eadbench.captions.answers import parse_answer

    tokenizers.write_qwen(tmp_path, "Qwen2_5_VLProcessor")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.convert_tokens_to_ids(
        ["<|endoftext|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>"]
    ) == [151643, 151645, 151655, 151656]
    text = "Which emotion?\n"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text and max(tokenizer(text)["input_ids"]) < 1000
    said = tokenizer.decode(tokenizer.convert_tokens_to_ids(tokenizers.ANSWERS[:1]))
    assert parse_answer(said, 600).emotion == "angry"


@pytest.mark.parametrize("name", sorted(QWENS))
def test_the_captioners_published_form_is_read_and_answers(name, tmp_path):
    from eadbench.captions.answers import parse_answer
    from eadbench.captions.prompts import load_prompt
    from eadbench.zoo.kinds.qwen_vl import open_model

    folder = weights.write(name, tmp_path, depth=1, narrow=True)
    captioner = open_model(str(folder), frames_as="video")
    stored = load_file(folder / "model-00001-of-00001.safetensors")
    prefix = "" if name.startswith("Qwen2.5") else "model."
    first = captioner.model.model.visual.blocks[0].attn.qkv.bias
    assert torch.equal(first, stored[f"{prefix}visual.blocks.0.attn.qkv.bias"].float())
    found = captioner.answer(
        [FACES[:4], FACES[4:8]], [[("user", load_prompt("describe").text)]] * 2, 8, [4.0, 4.0]
    )
    assert all(parse_answer(text, 600).emotion in tokenizers.LOOKS for text in found)
