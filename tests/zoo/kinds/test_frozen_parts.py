"""VAE, speech encoder and video features of the zoo: made, loaded, and doing what they
are for.
"""

import os
from pathlib import Path

import pytest
import torch

from eadbench import zoo
from eadbench.core.errors import EadbenchError
from eadbench.zoo import material
from eadbench.zoo.card import read_card
from eadbench.zoo.kinds import vae, whisper
from eadbench.zoo.make import ArtefactInputs

SMALL = {"size": 32, "channels": [12, 12, 12], "norm_groups": 3, "frames_per_clip": 10}
TINY_WHISPER = {"state": 16, "heads": 2, "layers": 1, "clusters": 4, "crop": 50, "batch": 8}


def test_the_vae_learns_and_is_a_diffusers_folder(tiny_clips: Path, tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    few = vae.train(tmp_path / "a", SMALL | {"steps": 1, "lr": 1e-6}, ArtefactInputs([tiny_clips]), 1)
    more = vae.train(
        tmp_path / "b", SMALL | {"steps": 80, "lr": 1e-3, "batch": 8}, ArtefactInputs([tiny_clips]), 1
    )
    assert more["held_out_mean_abs_error"] < 0.8 * few["held_out_mean_abs_error"]
    model = AutoencoderKL.from_pretrained(tmp_path / "b")
    frames = vae.normalise(torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8))
    assert torch.equal(vae.encode(model.eval(), frames), vae.encode(model, frames)), "the mode, not a draw"
    assert model.config.scaling_factor == pytest.approx(more["scaling_factor"], abs=1e-4)


@pytest.mark.parametrize("channels", [(16, 32, 64), (12, 12), (16, 16, 32, 32)])
def test_the_start_gives_every_cell_its_mean_colour(channels: tuple[int, ...]) -> None:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    levels = len(channels)
    model = AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4 if channels[0] == 16 else 3,
        mid_block_add_attention=False,
    )
    colours = torch.rand(4, 3, 1, 1) * 1.6 - 0.8
    plain = colours.expand(-1, -1, 32, 32)
    before = (model.decode(model.encode(plain).latent_dist.mode()).sample - plain).abs().mean()
    vae.start_from_mean_colours(model)
    latents = model.encode(plain).latent_dist.mode()
    rebuilt = model.decode(latents).sample
    assert (rebuilt - plain)[..., 8:-8, 8:-8].abs().mean() < 0.3 * before
    middle = latents[:, :3, latents.shape[2] // 2, latents.shape[3] // 2]
    assert torch.corrcoef(torch.stack([middle.flatten(), colours.flatten()]))[0, 1] > 0.95


def test_too_narrow_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 groups"):
        vae.VaeOptions(channels=(8, 16), norm_groups=4)


def test_same_seed_same_weights(tiny_clips: Path, tmp_path: Path) -> None:
    for name in "ab":
        vae.train(tmp_path / name, SMALL | {"steps": 2, "batch": 2}, ArtefactInputs([tiny_clips]), 7)
    a, b = (tmp_path / name / "diffusion_pytorch_model.safetensors" for name in "ab")
    assert a.read_bytes() == b.read_bytes()


def test_resizing_keeps_colours_and_order() -> None:
    frames = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    frames[1, :, :, 0] = 200
    small = vae.to_tensor(frames.numpy(), 16)
    assert (
        small.shape == (2, 3, 16, 16)
        and small[1, 0].eq(200).all()
        and not small[0].any()
        and not small[1, 1:].any()
    )


def test_the_face_counts_more(tmp_path: Path) -> None:
    weight = vae.face_weight(64, 3.0)
    assert weight.min() >= 1 and weight.max() == pytest.approx(4, abs=0.1)
    assert weight[47, 32] > 3 and weight[2, 2] < 1.01, "mouth against corner"


def test_the_encoder_predicts_masked_speech_better_than_chance(
    tiny_clips: Path, tiny_parts: dict[str, Path], tmp_path: Path
) -> None:
    facts = whisper.train(tmp_path, TINY_WHISPER | {"steps": 80}, ArtefactInputs([tiny_clips]), 1)
    assert facts["masked_accuracy_held_out"] > 0.4, "chance is 0.25"
    assert facts["seconds_of_speech"] == 8.0, "four clips of the training split"
    encoder = zoo.load(tiny_parts["whisper"])
    mel = torch.randn(2, 80, 100)
    states = whisper.encoder_states(encoder, mel)
    assert states.shape == (2, 50, 2, 16)
    later = mel.clone()
    later[..., 90:] = 0
    assert not torch.allclose(whisper.encoder_states(encoder, later)[:, 0, 1], states[:, 0, 1]), (
        "a block sees the whole stretch"
    )
    assert torch.equal(whisper.encoder_states(encoder, later)[:, :40, 0], states[:, :40, 0]), (
        "the embedding only its surroundings"
    )


def test_the_checkpoint_has_the_same_bytes_in_every_process(
    tiny_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for process in (7, 81234):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        torch.manual_seed(1)  # as the command does
        (folder := tmp_path / str(process)).mkdir()
        whisper.train(folder, TINY_WHISPER | {"steps": 2}, ArtefactInputs([tiny_clips]), 1)
        made.append((folder / "encoder.pt").read_bytes())
    assert made[0] == made[1]


def test_checkpoint_is_whispers_own_format(tiny_parts: dict[str, Path]) -> None:
    import whisper as official

    model = official.load_model(str(tiny_parts["whisper"] / "encoder.pt"), device="cpu")
    assert model.dims.n_audio_state == 16 and read_card(tiny_parts["whisper"]).how == "trained"


def test_video_features_have_unit_length_and_see_motion(tiny_parts: dict[str, Path]) -> None:
    features = zoo.load(tiny_parts["videomae"])
    clip = torch.rand(1, 7, 3, 48, 48) * 2 - 1
    assert features(clip).shape == (1, 16) and features.width == 16 and features.frames == 4
    assert torch.allclose(features(clip).norm(dim=-1), torch.ones(1), atol=1e-5)
    assert (features(clip) - features(clip[:, :1].expand_as(clip))).norm() > 1e-3
    assert read_card(tiny_parts["videomae"]).how == "random"


def test_nothing_to_train_on_is_said(tiny_clips: Path, tmp_path: Path) -> None:
    with pytest.raises(EadbenchError, match="no kept clip of the val split"):
        material.training_clips([tiny_clips], split="val")
    with pytest.raises(EadbenchError, match="no kept clip"):
        material.training_clips([])
    with pytest.raises(EadbenchError, match="as long as `crop`"):
        whisper.train(tmp_path, {"crop": 500}, ArtefactInputs([tiny_clips]), 1)
    drawn = [
        [clip.clip_id for clip in material.training_clips([tiny_clips], 2, seed)] for seed in (1, 1, 2, 3, 4)
    ]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 2 and len({tuple(d) for d in drawn}) > 1
