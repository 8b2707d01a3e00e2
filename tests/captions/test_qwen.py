import base64
import importlib.metadata
import io
import json
import shutil
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import tiny_qwen
import torch
from PIL import Image

from eadbench.captions.config import CaptionsConfig
from eadbench.captions.endpoint import EndpointCaptioner
from eadbench.captions.frames import clip_frames, rate_shown
from eadbench.captions.prompts import AGAIN, load_prompt
from eadbench.captions.qwen import QwenCaptioner
from eadbench.captions.write import write_captions
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError, FatalError
from eadbench.core.files import sha256_of
from eadbench.core.tables import read_rows, read_table
from eadbench.zoo.card import Card, write_card
from eadbench.zoo.kinds.qwen_vl import open_model


def config(folder=None, **qwen):
    return CaptionsConfig(
        captioner="qwen",
        frames=2,
        batch=4,
        max_tokens=80,
        qwen={"model": str(folder) if folder else None, **qwen},
    )


def videos(count, frames=2, size=64):
    rng = np.random.default_rng(5)
    return [rng.integers(0, 255, (frames, size, size, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("family", ["random_qwen", "random_qwen3"])
def test_the_bound_of_a_videos_pixels_is_chosen_and_changes_nothing_here(request, family):
    model, (shown,) = open_model(str(request.getfixturevalue(family)), frames_as="video"), videos(1, 8, 448)
    video_processor = model.processor.video_processor
    assert video_processor.cap_pixels_per_frame, "else the library warns in every job"
    bounded = model.inputs([shown], [[("user", "A")]], [4.0])
    video_processor.cap_pixels_per_frame = False
    assert torch.equal(
        bounded["pixel_values_videos"], model.inputs([shown], [[("user", "A")]], [4.0])["pixel_values_videos"]
    )


@pytest.mark.parametrize("frames_as", ["images", "video"])
@pytest.mark.parametrize("family", ["random_qwen", "random_qwen3"])
def test_batched_answers_are_those_of_one_by_one(request, family, frames_as):
    model = open_model(str(request.getfixturevalue(family)), frames_as=frames_as)
    shown = [*videos(2), *videos(1, frames=4), *videos(1, frames=3, size=100)]
    dialogues = [
        [("user", load_prompt("describe").text)],
        [("user", "Short.")],
        [("user", "A")],
        [("user", "Q"), ("assistant", "x"), ("user", AGAIN)],
    ]
    together = model.answer(shown, dialogues, 12, [4.0] * 4)
    alone = [model.answer([v], [d], 12, [4.0])[0] for v, d in zip(shown, dialogues, strict=True)]
    assert together == alone
    assert len(set(together)) > 1  # the answers depend on what is shown and asked


def test_decoding_is_deterministic(random_qwen):
    first, second = (
        open_model(str(random_qwen)).answer(videos(2), [[("user", "Q")]] * 2, 10, [4.0] * 2) for _ in range(2)
    )
    assert first == second


def test_the_repetition_penalty_published_with_a_model_does_not_count_unless_asked_for(random_qwen, tmp_path):
    shutil.copytree(random_qwen, tmp_path / "published")
    settings = json.loads((tmp_path / "published" / "generation_config.json").read_text())
    published = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 3.0}
    (tmp_path / "published" / "generation_config.json").write_text(json.dumps(settings | published))
    shown, asked = videos(4), [[("user", load_prompt("describe").text)]] * 4
    plain = open_model(str(random_qwen)).answer(shown, asked, 20, [4.0] * 4)
    assert open_model(str(tmp_path / "published")).answer(shown, asked, 20, [4.0] * 4) == plain
    assert (
        open_model(str(tmp_path / "published"), repetition_penalty=3.0).answer(shown, asked, 20, [4.0] * 4)
        != plain
    )
    held = open_model(str(tmp_path / "published")).model.generation_config
    assert (held.do_sample, held.num_beams, held.repetition_penalty, held.no_repeat_ngram_size) == (
        False,
        1,
        1.0,
        0,
    )
    assert not {held.temperature, held.top_p, held.top_k} & {0.7, 0.8, 20}
    assert held.eos_token_id == settings["eos_token_id"], "where an answer ends is kept"


def text_of(model, inputs):
    return model.processor.tokenizer.decode(inputs["input_ids"][0])


def test_qwen3_sees_a_video_as_the_models_release_shows_it(random_qwen3):
    """Time, then the tokens of vision, for each pair of frames: without a second pair
    of vision tokens around it all.
    """
    model = open_model(str(random_qwen3), frames_as="video")
    inputs = model.inputs(videos(1, frames=5), [[("user", "Q"), ("assistant", "x"), ("user", AGAIN)]], [4.0])
    grid = inputs["video_grid_thw"][0].tolist()
    pads = "<|video_pad|>" * (grid[1] * grid[2] // 4)
    assert grid[0] == 3 and pads
    pairs = "".join(f"<{time} seconds><|vision_start|>{pads}<|vision_end|>" for time in ("0.1", "0.6", "1.1"))
    head = f"<|im_start|>user\n{pairs}Q<|im_end|>\n<|im_start|>assistant\nx<|im_end|>\n"
    assert text_of(model, inputs) == f"{head}<|im_start|>user\n{AGAIN}<|im_end|>\n<|im_start|>assistant\n"


def test_qwen2_sees_a_video_in_one_pair_of_vision_tokens(random_qwen):
    model = open_model(str(random_qwen), frames_as="video")
    inputs = model.inputs(videos(1, frames=4), [[("user", "Q")]], [4.0])
    text = text_of(model, inputs)
    assert (
        text.startswith("<|im_start|>user\n<|vision_start|><|video_pad|>")
        and text.count("<|vision_start|>") == text.count("<|vision_end|>") == 1
    )


def as_the_server_sees(body, processor):
    """What vLLM gives the model: its own template over the parts, the frames of a
    ``video/jpeg`` part with the rate that came along, and for Qwen3-VL's video the
    release's text in the place of the template's pair of vision tokens.
    """
    content, images, shown = [], [], []
    for part in body["messages"][0]["content"]:
        kind = part["type"].removesuffix("_url")
        if kind == "text":
            content.append(part)
            continue
        head, data = part[part["type"]]["url"].split(";base64,")
        frames = [np.asarray(Image.open(io.BytesIO(base64.b64decode(image)))) for image in data.split(",")]
        assert head == ("data:video/jpeg" if kind == "video" else "data:image/jpeg")
        content.append({"type": kind})
        (shown if kind == "video" else images).append(frames)
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    if not shown:
        return processor(text=[text], images=[[frames[0] for frames in images]], return_tensors="pt")
    rate, frames = body["media_io_kwargs"]["video"]["fps"], shown[0]
    facts = {
        "fps": rate,
        "total_num_frames": len(frames),
        "duration": len(frames) / rate,
        "frames_indices": list(range(len(frames))),
    }
    text = text.replace("<|vision_start|><|video_pad|><|vision_end|>", "<|video_pad|>")
    settings = body["mm_processor_kwargs"] | {"video_metadata": [facts]}
    return processor(text=[text], videos=[frames], videos_kwargs=settings, return_tensors="pt")


@pytest.mark.parametrize("frames_as", ["images", "video"])
def test_an_endpoint_shows_the_model_what_transformers_shows_it(server, random_qwen3, tiny_clips, frames_as):
    section = {
        "captioner": "endpoint",
        "frames": 5,
        "endpoint": {"base_url": server.url, "model": "m", "frames_as": frames_as, "concurrency": 1},
    }
    clips = [next(read_rows(tiny_clips, schemas.CLIPS))]
    outcomes = list(EndpointCaptioner(CaptionsConfig.model_validate(section)).describe(clips))
    assert outcomes[0].answer
    model = open_model(str(random_qwen3), frames_as=frames_as)
    frames = clip_frames(clips[0].video, 5)
    ours = model.inputs([frames], [[("user", load_prompt("describe").text)]], [rate_shown(clips[0], 5)])
    theirs = as_the_server_sees(server.bodies[0], model.processor)
    assert ours["input_ids"].tolist() == theirs["input_ids"].tolist()
    name = "pixel_values_videos" if frames_as == "video" else "pixel_values"
    assert ours[name].shape == theirs[name].shape and (ours[name] - theirs[name]).abs().mean() < 0.05, (
        "but for JPEG"
    )


def test_whole_shard_through_the_model(taught_qwen, tiny_clips, tmp_path):
    write_captions(tiny_clips, "tiny", "0-of-1", config(taught_qwen), {}, 1, "cpu", tmp_path / "o.parquet")
    table = read_table(tmp_path / "o.parquet", schemas.CAPTIONS)
    clips = read_table(tiny_clips, schemas.CLIPS)
    assert list(table.clip_id) == sorted(clips.clip_id)
    assert set(table.caption_emotion) == {"angry"}
    assert set(table.caption) == {"The brows are lowered and the lips are pressed together."}
    assert table.prompt_version.str.startswith("describe-1+").all()
    assert table.captioner.str.match(r".+@[0-9a-f]{12}$").all()


def test_babble_gives_rows_with_reasons_and_a_shard_of_it_is_an_error(random_qwen, tiny_clips, tmp_path):
    clips = list(read_rows(tiny_clips, schemas.CLIPS))
    outcomes = list(QwenCaptioner.open(config(random_qwen), {}, "cpu").describe(clips))
    assert {o.clip_id for o in outcomes} == {clip.clip_id for clip in clips}
    assert all(o.answer is None and o.reason for o in outcomes)
    with pytest.raises(EadbenchError, match="all 6"):
        write_captions(
            tiny_clips, "tiny", "0-of-1", config(random_qwen), {}, 1, "cpu", tmp_path / "o.parquet"
        )


class Forgetful:
    """Answers well only when asked again."""

    def __init__(self):
        self.calls = []

    def answer(self, videos, dialogues, max_tokens, rates):
        self.calls.append([len(d) for d in dialogues])
        return [
            tiny_qwen.ANSWER if len(d) == 3 or k % 2 else "Sure! Here it is:" for k, d in enumerate(dialogues)
        ]


def test_unusable_answers_are_asked_for_once_more_in_one_batch(tiny_clips):
    model = Forgetful()
    captioner = QwenCaptioner(model, "forgetful", config("x"))
    outcomes = list(captioner.describe(list(read_rows(tiny_clips, schemas.CLIPS))))
    assert all(o.answer for o in outcomes)
    assert model.calls == [[1, 1, 1, 1], [3, 3], [1, 1], [3]]


def test_unreadable_clip_costs_itself(tiny_clips):
    clips = list(read_rows(tiny_clips, schemas.CLIPS))
    clips[1] = replace(clips[1], video=tiny_clips.parent / "videos/none.mp4")
    outcomes = {o.clip_id: o for o in QwenCaptioner(Forgetful(), "m", config("x")).describe(clips)}
    assert "cannot be opened" in outcomes[clips[1].clip_id].reason
    assert sum(o.answer is not None for o in outcomes.values()) == len(clips) - 1


def test_artefact_of_the_zoo_is_checked_and_named(taught_qwen, tiny_clips, tmp_path):
    settings = config(artefact="qwen")
    with pytest.raises(EadbenchError, match="not handed over"):
        QwenCaptioner.open(settings, {}, "cpu")
    files = {p.name: sha256_of(p) for p in taught_qwen.iterdir() if p.name != "card.json"}
    card = Card(
        artefact="qwen", kind="qwen_vl", how="random", id="tiny", source="here", licence="none", files=files
    )
    write_card(taught_qwen, card)
    assert QwenCaptioner.open(settings, {"qwen": taught_qwen}, "cpu").id == f"tiny@{card.sha256[:12]}"
    write_card(taught_qwen, card.model_copy(update={"files": {**files, "config.json": "0" * 64}}))
    with pytest.raises(FatalError, match="changed"):
        QwenCaptioner.open(settings, {"qwen": taught_qwen}, "cpu")


def test_models_that_cannot_be_had_say_so(tiny_clips, tmp_path, monkeypatch):
    with pytest.raises(EadbenchError, match="revision"):
        QwenCaptioner.open(config("Qwen/Qwen2.5-VL-7B-Instruct"), {}, "cpu")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EadbenchError, match="cannot be read"):
        QwenCaptioner.open(config(tmp_path), {}, "cpu")


def test_four_bit_without_its_package_says_how_to_get_it(taught_qwen, tiny_clips, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(EadbenchError, match="needs the package bitsandbytes") as caught:
        QwenCaptioner.open(config(taught_qwen, four_bit=True), {}, "cpu")
    assert "pip install bitsandbytes" in str(caught.value) and "four_bit: false" in str(caught.value)


def test_four_bit_without_a_gpu_is_an_error(taught_qwen, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))
    with pytest.raises(EadbenchError, match="4 bit needs a GPU"):
        open_model(str(taught_qwen), four_bit=True)


def test_four_bit_reaches_the_model(taught_qwen, monkeypatch):
    """What transformers is asked for on a GPU; the weights themselves cannot be packed
    here.
    """
    import transformers

    asked = {}

    def stop(source, **options):
        asked.update(options)
        raise OSError("seen enough")

    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))
    monkeypatch.setattr(
        "importlib.metadata.version",
        lambda name, real=importlib.metadata.version: "0.49.0" if name == "bitsandbytes" else real(name),
    )
    monkeypatch.setattr(transformers.AutoModelForImageTextToText, "from_pretrained", stop)
    with pytest.raises(EadbenchError, match="seen enough"):
        open_model(str(taught_qwen), "cuda", four_bit=True)
    quantization = asked["quantization_config"]
    assert (
        quantization.load_in_4bit
        and quantization.bnb_4bit_quant_type == "nf4"
        and asked["device_map"] == {"": torch.device("cuda")}
    )
