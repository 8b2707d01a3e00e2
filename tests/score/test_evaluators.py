"""Published networks in one step, against a server on this machine that sends files of
their names and shapes.
"""

import json
from pathlib import Path

import pytest
import typer
from score.published import FILES, WRITERS, Server
from scores.conftest import EVALUATORS, astronaut
from typer.testing import CliRunner

from eadbench.core import download as download_module
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.options import parse_parts
from eadbench.core.tables import read_table
from eadbench.media.video import write_video
from eadbench.score.cli import app
from eadbench.score.evaluators import OFFICIAL, choose, describe_choice, needed_networks
from eadbench.score.options import config_of
from eadbench.scores.names import evaluator_roles
from eadbench.zoo.card import read_card
from eadbench.zoo.fetch import user_cache
from eadbench.zoo.registry import registry

LPIPS, ALEXNET = "lpips-alex", FILES["lpips-alex"]


@pytest.fixture(scope="session")
def published(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    for write in WRITERS:
        write(folder)
    return folder


@pytest.fixture
def server(published, tmp_path, monkeypatch):
    """A fresh user: an empty cache, and a server in place of the published addresses."""
    monkeypatch.setattr(download_module.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EADBENCH_CACHE", raising=False)
    registry_server = Server(published)
    monkeypatch.setenv("EADBENCH_REGISTRY", str(registry_server.overlay(tmp_path / "registry.yaml")))
    yield registry_server
    registry_server.close()


@pytest.fixture(scope="session")
def media(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("two videos")
    for k in range(2):
        frames, audio = astronaut(38, 64, k)
        for folder in ("real", "mine"):
            write_video(root / folder / f"{k}.mp4", frames, audio=audio, crf=18 if folder == "real" else 40)
    return root


def run(media: Path, out: Path, *more: str):
    args = ["--real", str(media / "real"), "--fake", str(media / "mine"), "--out", str(out), *more]
    return CliRunner().invoke(app, args, catch_exceptions=False)


def test_a_dry_run_names_the_networks_chosen_and_refuses_as_the_run_does(media, tmp_path, monkeypatch):
    monkeypatch.setenv("EADBENCH_CACHE", str(tmp_path / "cache"))
    args = ["--real", str(media / "real"), "--fake", str(media / "mine"), "--dry-run"]
    (tmp_path / "zoo/lpips").mkdir(parents=True)
    (tmp_path / "zoo/lpips/card.json").write_text("{}")

    def output_of(*more):
        return CliRunner().invoke(app, [*args, *more], catch_exceptions=False).output

    assert f"lpips: {tmp_path}/zoo/lpips" in output_of(
        "--metrics", "lpips", "--evaluators", f"{tmp_path}/zoo"
    )
    assert "to fetch)" in output_of("--metrics", "lpips") and "formulas" in output_of(
        "--metrics", "ssim,psnr"
    )
    with pytest.raises(EadbenchError, match="no such folder"):
        output_of("--metrics", "lpips", "--evaluators", "dmo")


def test_a_dry_run_needs_no_table_to_write_and_all_else_does(media):
    args = ["--real", str(media / "real"), "--fake", str(media / "mine"), "--metrics", "ssim"]
    assert "videos paired" in CliRunner().invoke(app, [*args, "--dry-run"], catch_exceptions=False).output
    with pytest.raises(EadbenchError, match="no table to write is named"):
        CliRunner().invoke(app, args, catch_exceptions=False)


def test_metrics_of_large_networks_are_measured_when_they_are_named(server, media, tmp_path):
    out = tmp_path / "s.parquet"
    done = run(media, out, "--metrics", "stable_sync,stable_sync_offset,cd_fvd,jedi", "--evaluators",
               "official", "--accept-licence", "all")  # fmt: skip
    files = {"stable_syncnet.pt", "vith16.pth.tar", "ssv2-probe.pth.tar", "vit_g_hybrid_pt_1200e_ssv2_ft.pth"}
    assert done.exit_code == 0 and set(server.seen) == files, done.output
    rows = read_table(out, schemas.SCORES).set_index(["method", "metric"])
    row = rows.loc[("mine", "stable_sync")]
    assert 0 < row.value <= 1 and row.extractor.startswith("stable-syncnet") and row.resolution == 256
    assert row.variant == "latentsync-256, every 4 frames" and len(row.weights_sha256) == 64
    assert -15 <= rows.loc[("mine", "stable_sync_offset"), "value"] <= 15
    for metric in ("cd_fvd", "jedi"):
        row = rows.loc[("mine", metric)]
        assert row.value > 0 and row.n == 2 and len(row.weights_sha256) == 64, metric
        assert rows.loc[("real", metric), "value"] == pytest.approx(0, abs=1e-6)
    assert not {"stable_sync", "cd_fvd", "jedi"} & set(config_of(None, None).metrics)


def test_all_steps_of_a_new_user(server, media, tmp_path):
    out, metrics = tmp_path / "s.parquet", ("--metrics", "fid,fvd,lpips,csim,acc_emo,ssim")
    few = (
        "--settings",
        json.dumps(
            {
                "scores": {"evaluators": EVALUATORS, "fid_frames": 2, "lpips_frames": 2, "bootstrap": 20},
                "seed": 1,
                "device": "cpu",
            }
        ),
    )
    with pytest.raises(EadbenchError) as caught:
        run(media, out, *metrics)
    assert "--evaluators official" in str(caught.value).splitlines()[0], "the first line holds what helps"
    assert not server.seen and not list(out.parent.glob("*.cells"))

    output = run(media, out, *metrics, "--evaluators", "official", "--dry-run").output
    assert (
        "lpips-alex (to fetch, 10 MB): LPIPS" in output
        and "licence: BSD-3-Clause" in output
        and server.url in output
    )
    assert (
        "emotion-fan-mead (by hand)" in output
        and str(user_cache() / "emotion-fan-mead") in output
        and not server.seen
    )

    with pytest.raises(
        EadbenchError,
        match=r"not accepted: inception-fid, i3d-torchscript, arcface-w600k-r50 .*nothing was fetched",
    ) as caught:
        run(media, out, *metrics, "--evaluators", "official", "--accept-licence", LPIPS)
    assert (
        "--accept-licence inception-fid" in str(caught.value)
        and f"--accept-licence {LPIPS}" not in str(caught.value)
        and not server.seen
    )

    server.cut = {ALEXNET, "buffalo_l.zip"}
    done = run(media, out, *metrics, *few, "--evaluators", "official", "--accept-licence", "all")
    assert done.exit_code == 0, done.output
    assert [name for name, _ in server.ranges] == [ALEXNET], (
        "a cut download goes on where it stopped, one of less than a block from the start"
    )
    rows = read_table(out, schemas.SCORES)
    mine = rows[rows.method == "mine"].set_index("metric")
    for metric in ("fid", "lpips", "csim", "ssim"):
        assert mine.loc[metric, "value"] > 0, metric
    assert (
        set(mine.loc[["fvd"], "variant"]) == {"stylegan-v", "latentsync"}
        and mine.loc[["fvd"], "value"].notna().all()
    )
    assert (
        mine.loc["lpips", "extractor"].startswith(LPIPS)
        and mine.loc["lpips", "variant"] == "2 frames per clip"
    )
    assert mine.loc["acc_emo", "n"] == 0
    assert "emotion-fan-mead has no direct download" in mine.loc["acc_emo", "warning"]
    assert {read_card(user_cache() / name).how for name in FILES} == {"fetched"}

    seen = dict(server.seen)
    again = run(media, tmp_path / "again.parquet", *metrics, *few)
    assert again.exit_code == 0 and dict(server.seen) == seen, (
        "what is on this machine is used without a choice and not fetched again"
    )


def test_a_wrong_hash_is_reported_and_nothing_is_measured(server, media, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "EADBENCH_REGISTRY", str(server.overlay(tmp_path / "wrong.yaml", **{ALEXNET: {"sha256": "0" * 64}}))
    )
    with pytest.raises(EadbenchError, match="its sha256 is"):
        run(
            media,
            tmp_path / "s.parquet",
            "--metrics",
            "lpips",
            "--evaluators",
            "official",
            "--accept-licence",
            LPIPS,
        )
    assert not (user_cache() / LPIPS / ALEXNET).exists() and not (tmp_path / "s.parquet").exists()


def test_a_web_page_in_place_of_weights_is_reported_at_once(server, media, tmp_path):
    server.page = {ALEXNET}
    with pytest.raises(EadbenchError, match="what came is a web page"):
        run(
            media,
            tmp_path / "s.parquet",
            "--metrics",
            "lpips",
            "--evaluators",
            "official",
            "--accept-licence",
            LPIPS,
        )
    assert server.seen[ALEXNET] == 1 and not list((user_cache() / LPIPS).glob("*alexnet*"))


def test_a_pointer_put_there_by_hand_is_reported(server, media, tmp_path):
    (user_cache() / LPIPS).mkdir(parents=True)
    (user_cache() / LPIPS / ALEXNET).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n"
    )
    with pytest.raises(EadbenchError, match="git-lfs pointer"):
        run(media, tmp_path / "s.parquet", "--metrics", "lpips", "--evaluators", "official")


def test_a_file_put_there_by_hand_needs_no_licence(server, published, media, tmp_path):
    (user_cache() / LPIPS).mkdir(parents=True)
    (user_cache() / LPIPS / ALEXNET).write_bytes((published / ALEXNET).read_bytes())
    folders = choose("official", config_of(None, "lpips"), {}, ())
    assert folders.parts == {"lpips": user_cache() / LPIPS} and not server.seen


def test_on_a_terminal_the_licence_is_asked_for(server):
    asked_ids = []
    config = config_of(None, "lpips")
    with pytest.raises(EadbenchError, match="not accepted"):
        choose("official", config, {}, (), lambda network: asked_ids.append(network.id) or False)
    assert asked_ids == [LPIPS] and not server.seen
    assert choose("official", config, {}, (), lambda network: True).parts == {"lpips": user_cache() / LPIPS}


def test_demo_networks_only_by_that_word(server, zoo, tmp_path, monkeypatch):
    config = config_of(None, "lpips,fid")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "zoo").symlink_to(zoo["lpips"].parent)
    with pytest.raises(EadbenchError, match="--evaluators official"):
        choose(None, config, {}, ())
    assert choose("demo", config, {}, ()).parts == {
        "lpips": Path("results/zoo/lpips"),
        "inception": Path("results/zoo/inception"),
    }
    (tmp_path / "results" / "zoo").unlink()
    with pytest.raises(EadbenchError, match="no networks of a demo are here"):
        choose("demo", config, {}, ())


def test_a_folder_may_lack_some_networks_but_not_all(server, zoo, tmp_path):
    config = config_of(None, "lpips,fid")
    with pytest.raises(EadbenchError, match="no such folder"):
        choose(str(tmp_path / "none"), config, {}, ())
    with pytest.raises(
        EadbenchError, match="holds none of the networks: inception or inception-fid, lpips or lpips-alex"
    ):
        choose(str(tmp_path), config, {}, ())
    (tmp_path / "lpips-alex").symlink_to(zoo["lpips"])
    folders = choose(str(tmp_path), config, {}, ())
    assert (
        folders.parts["lpips"] == tmp_path / "lpips-alex"
        and "--evaluators official fetches inception-fid" in folders.missing["fid"]
    )


def test_networks_given_one_by_one_and_formulas_need_no_choice(server, tmp_path):
    assert choose(None, config_of(None, "ssim,psnr"), {}, ()).parts == {}
    parts = {"lpips": tmp_path}
    assert choose(None, config_of(None, "lpips"), parts, ()).parts == parts


@pytest.mark.parametrize("give", [choose, describe_choice])
def test_a_network_under_a_name_that_nothing_asks_for_is_refused(give, zoo):
    parts = {"syncnet": zoo["syncnet_evaluator"]}
    with pytest.raises(EadbenchError, match=r"name 'syncnet' \(did you mean '.*syncnet"):
        give(None, config_of(None, "ssim,sync"), parts, ())


@pytest.mark.parametrize("text", ["lpips", "lpips=", "=folder", "="])
def test_a_part_without_name_or_folder_is_refused(text):
    with pytest.raises(typer.BadParameter, match="expected NAME=FOLDER"):
        parse_parts([text])


def test_every_role_has_a_published_network_of_a_known_size_or_a_page():
    default = {network.role for network in needed_networks(config_of(None, None))}
    every = needed_networks(config_of(None, ",".join(evaluator_roles())))
    assert {network.role for network in every} == set(OFFICIAL) > default
    for role, name in OFFICIAL.items():
        entry = registry()[name]
        verified = entry.transfer and all(len(f.sha256) == 64 for f in entry.files)
        assert entry.manual or verified or (role not in default and entry.about_mb), name
        assert entry.licence and entry.licence_url


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"EADBENCH_CACHE": "/a/b"}, "/a/b/weights"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/eadbench/weights"),
        ({"HOME": "/h"}, "/h/.cache/eadbench/weights"),
    ],
)
def test_the_cache_follows_the_platform(monkeypatch, environment, folder):
    for name in ("EADBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", "linux")
    assert user_cache() == Path(folder)
