"""What EAD-Net's task measures beside its losses (the losses themselves: test_losses.py
and test_run.py).
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from eadbench.features.store import FeatureStore
from eadbench.training.config import TrainingConfig
from eadbench.training.data import collate
from eadbench.training.eadnet import EADNetTask, LossNetworks
from eadbench.training.run import make_task, model_config


def task_of(section: dict[str, Any], emotion: str, features: Path) -> EADNetTask:
    section["runs"]["stage1"]["model"] |= {"emotion": emotion}
    config = TrainingConfig.model_validate(section).run("stage1")
    store = FeatureStore([features])
    task = EADNetTask(
        store,
        config,
        model_config("stage1", config, store, store.facts()),
        LossNetworks(),
        1,
        "stage1",
        ("face", 32, 4),
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # what starts at zero would make every condition look unheard
        for parameter in task.model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return task


@pytest.mark.parametrize("emotion", ["none", "vai", "text+vai"])
def test_validation_tells_whether_audio_and_emotion_are_used(
    emotion: str, small: dict[str, Any], tiny_features: Path
) -> None:
    task = task_of(small, emotion, tiny_features)
    batch = collate([task.data[k] for k in range(4)])
    losses = task.validate(task.model.eval(), [batch])
    assert (
        losses["audio_sensitivity"] == pytest.approx(losses["noise_other_sound"] / losses["noise"] - 1)
        and losses["audio_sensitivity"] != 0
    )
    if emotion == "none":
        assert "emotion_sensitivity" not in losses
        return
    assert (
        losses["emotion_sensitivity"] == pytest.approx(losses["noise_other_emotion"] / losses["noise"] - 1)
        and losses["emotion_sensitivity"] != 0
    )
    alike = {
        key: value[:1].expand_as(value)
        for key, value in batch.items()
        if key in ("text", "text_mask", "vai") and value is not None
    }
    assert task.validate(task.model, [batch | alike])["emotion_sensitivity"] == 0, (
        "another clip's emotion is the same one"
    )


def test_decoding_again_on_the_way_back_gives_the_same_gradients_and_keeps_less(
    small: dict[str, Any], tiny_features: Path, trained: dict[str, Path]
) -> None:
    kept, gradients, values = [], [], []
    for checkpointing in (False, True):
        section = small | {"optim": small["optim"] | {"gradient_checkpointing": checkpointing}}
        config = TrainingConfig.model_validate(section).run("full")
        store = FeatureStore([tiny_features])
        task = make_task(
            "full",
            config,
            model_config("full", config, store, store.facts()),
            store,
            store.facts(),
            1,
            trained["stage1"],
            trained,
        )
        latents = torch.randn(9, 4, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        sizes = []

        def note(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            frames = task.decoded(latents)
        kept.append(sum(sizes))
        frames.square().sum().backward()
        gradients.append(latents.grad)
        values.append(frames.detach())
    assert torch.allclose(*values, atol=1e-6) and torch.allclose(*gradients, rtol=1e-4, atol=1e-6)
    assert kept[1] < kept[0] / 20
