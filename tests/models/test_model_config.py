"""Configurations: JSON round trip, refusals, and no torch."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from eadbench.models.config import EADNetConfig, SyncNetConfig, Wav2LipConfig


@pytest.mark.parametrize(
    "config",
    [
        EADNetConfig(block_channels=(32, 64), attention_levels=(1,), stda="filter"),
        SyncNetConfig(),
        Wav2LipConfig(),
    ],
)
def test_survives_json(config):
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_full_size_is_that_of_latentsync():
    config = EADNetConfig()
    assert (config.in_channels, config.audio_rows, config.audio_tokens) == (13, 10, 50)
    assert [SyncNetConfig(frames=n).mel_steps for n in (5, 16, 25)] == [16, 52, 80]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"block_channels": [30]}, "block_channels"),
        ({"attention_levels": [4]}, "attention_levels"),
        ({"filter_taps": 4}, "filter_taps"),
        ({"stda": "strips"}, "stda"),
        ({"depth": 3}, "depth"),
    ],
)
def test_mistakes_are_named(wrong, named):
    with pytest.raises(ValidationError, match=named):
        EADNetConfig.from_dict(wrong)


def test_syncnet_refuses_sizes_that_do_not_halve():
    with pytest.raises(ValidationError, match="image_size"):
        SyncNetConfig(image_size=96)


def test_configurations_load_without_torch():
    code = "import sys, eadbench.models.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("stda", ["none", "full", "filter", "pool", "strip_v", "strip_hv", "strip_hvt"])
@pytest.mark.parametrize(
    "rest",
    [{}, {"tfrm": "gcn"}, {"tfrm": "none", "emotion": "none"}, {"motion": True}, {"layers_per_block": 1}],
)
def test_weights_are_counted_without_the_network(stda, rest):
    import torch

    from eadbench.models.eadnet import EADNet

    config = EADNetConfig(stda=stda, **rest)
    with torch.device("meta"):
        network = EADNet(config)
    assert config.parameters == pytest.approx(sum(p.numel() for p in network.parameters()), rel=0.01)
