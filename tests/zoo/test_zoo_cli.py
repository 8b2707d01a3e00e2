"""``eadbench zoo``: one name for each network, and demo networks only for those who ask
for them.
"""

import pytest
from typer.testing import CliRunner

from eadbench.core.errors import EadbenchError
from eadbench.zoo.cli import app
from eadbench.zoo.registry import entry, registry

CONFIG = """
seed: 1
zoo:
  artefacts:
    inception: {kind: inception, how: random, options: {channels: [4, 6], size: 32}}
    lpips: {kind: lpips, how: random}
"""


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False, terminal_width=80)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return ("--config", str(path))


def test_list_cuts_no_id_and_says_size_licence_and_place(tmp_path):
    output = run("list", "--cache", str(tmp_path)).output
    for name, registry_entry in registry().items():
        assert f"{name}  (" in output and registry_entry.licence in output, name
    assert "inception-fid  (inception, 96 MB, not here)" in output and "by hand" in output


def test_random_features_by_hand_only_with_demo(tmp_path, config):
    card = tmp_path / "inception" / "card.json"
    with pytest.raises(EadbenchError, match="random features of a fixed seed") as caught:
        run("make", "inception", "--out", str(card), *config)
    assert (
        "--demo" in str(caught.value)
        and "eadbench zoo fetch inception-fid" in str(caught.value)
        and not card.exists()
    )
    assert run("make", "inception", "--out", str(card), "--demo", *config).exit_code == 0 and card.exists()


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path, config):
    with pytest.raises(EadbenchError, match="has no 'incepton'") as caught:
        run("make", "incepton", "--out", str(tmp_path / "card.json"), *config)
    assert "did you mean 'inception'?" in str(caught.value)
    with pytest.raises(EadbenchError, match="no published weights have the id 'inception'") as caught:
        entry("inception")
    assert "`eadbench zoo fetch inception-fid`" in str(caught.value)
    with pytest.raises(EadbenchError, match="syncnet-v2"):
        entry("syncnet")


def test_fetch_names_the_flag_that_accepts_the_licence(tmp_path, monkeypatch):
    monkeypatch.setenv("EADBENCH_CACHE", str(tmp_path))
    with pytest.raises(EadbenchError, match=r"the licence of lpips-alex .* was not accepted") as caught:
        run("fetch", "lpips-alex")
    assert "--accept-licence" in str(caught.value)
    with pytest.raises(EadbenchError, match="no direct download") as caught:
        run("fetch", "emotion-fan-mead", "--accept-licence")
    assert str(tmp_path / "weights" / "emotion-fan-mead") in str(caught.value)


def test_a_registry_of_ones_own_overrides_the_packages(tmp_path, monkeypatch):
    path = tmp_path / "mirror.yaml"
    path.write_text(
        "lpips-alex: {files: [{name: alexnet-owt-7be5be79.pth, url: 'http://mirror/alexnet.pth'}]}\n"
    )
    monkeypatch.setenv("EADBENCH_REGISTRY", str(path))
    assert (
        entry("lpips-alex").files[0].url == "http://mirror/alexnet.pth"
        and entry("lpips-alex").kind == "lpips"
    )
    assert entry("inception-fid").files[0].sha256
    for text in ("[1]", "lpips-alex: {nonsense: 1}", "a: [", "lpips-alex: 3"):
        other = tmp_path / f"{abs(hash(text))}.yaml"
        other.write_text(text)
        monkeypatch.setenv("EADBENCH_REGISTRY", str(other))
        with pytest.raises(EadbenchError, match="not a registry of weights"):
            registry()
