"""``eadbench prepare``: prints what is missing, in order, and fetches weights; the
documentation says the same.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from eadbench.core import settings
from eadbench.core.errors import EadbenchError
from eadbench.corpora.loopback import serve
from eadbench.plan import disk
from eadbench.plan.dag import Plan, planned
from eadbench.plan.missing import STEPS, hint, missing
from eadbench.plan.prepare import LEFT_OUT, prepare
from eadbench.samples.recipe import load_recipe
from eadbench.zoo.registry import registry

ROOT = Path(__file__).parents[2]
PAPER, DEMO = ROOT / "config/paper.yaml", ROOT / "config.yaml"
ALEXNET = "alexnet-owt-7be5be79.pth"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned([PAPER])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    """An empty folder, an empty cache, no network, a disk of 2 TB, the paper's plan."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EADBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(disk, "planned", lambda configs: plan)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: Usage(4e12, 2e12, 2e12))


class Usage(NamedTuple):
    total: float
    used: float
    free: float


def test_needed_space_is_that_of_the_plan_minus_files_that_exist(tmp_path: Path) -> None:
    paper_settings = settings.load(None, [PAPER], whole=True)
    before = {
        place.folder.name: place.bytes
        for place in disk.folder_spaces([PAPER], paper_settings, Path("results"))[:-3]
    }
    assert before["features"] == pytest.approx(870e9, rel=0.05) and before["corpora"] > 60e9
    Path("results/features").mkdir(parents=True)
    with Path("results/features/latents.safetensors").open("wb") as file:
        file.truncate(10**9)
    folders = disk.folder_spaces([PAPER], paper_settings, Path("results"))
    after = {place.folder.name: place.bytes for place in folders[:-3]}
    assert before["features"] - after["features"] == 10**9
    training, weights, temporary = folders[-3:]
    assert weights.folder == tmp_path / "cache/weights" and weights.bytes > 20e9
    assert training.bytes > 4 * 4e9 and 1e9 < temporary.bytes < 10e9
    (system,) = disk.file_systems(folders)
    assert (
        system.needed == sum(place.bytes for place in folders)
        and system.mount.is_mount()
        and not disk.needs_of([system])
    )


def test_too_little_space_is_reported_by_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: Usage(4e12, 0, 61e9))
    assert not prepare([PAPER], Path("results"), fetch=False)
    output = capsys.readouterr().out
    assert re.search(
        r"1\. Disk space: 1 missing\n   - /\S*: 1,2\d\d GB needed, 61 GB free: 1,\d+ GB too little", output
    )
    assert re.search(r"results/features +86\d GB$", output, re.M) and "TMPDIR" in output


def test_folders_on_several_disks_are_counted_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Path("/dev/shm")
    if not shared.is_mount():
        pytest.skip("/dev/shm is no file system of its own here")
    folders = [
        disk.FolderSpace("", Path("results/zoo"), 3e9),
        disk.FolderSpace("", shared / "not/there", 5e9),
    ]
    own, other = disk.file_systems(folders)
    assert (own.needed, other.needed, other.mount) == (3e9, 5e9, shared)
    assert [
        need.what.partition(":")[0] for need in disk.needs_of([own, disk.FileSystem(shared, 5e9, 4e9)])
    ] == [str(shared)]


def test_weights_that_do_not_fit_are_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: Usage(1e9, 0, 1e6))
    monkeypatch.setattr("eadbench.plan.prepare.fetch_files", lambda *arguments: pytest.fail("it was fetched"))
    assert not prepare([PAPER], Path("results"), accepted=["lpips-alex"])
    assert "too little space: 0.0 GB free" in capsys.readouterr().out


def test_without_snakemake_the_space_is_not_estimated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def lacking(configs: list[Path]) -> Plan:
        raise EadbenchError("Snakemake is not installed", "this environment")

    monkeypatch.setattr(disk, "planned", lacking)
    prepare([PAPER], Path("results"), fetch=False)
    assert "Not estimated: Snakemake is not installed." in capsys.readouterr().out


def overlay(tmp_path: Path, **sections: object) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(sections))
    return path


def test_the_demo_needs_nothing(capsys: pytest.CaptureFixture) -> None:
    assert prepare([DEMO], Path("results"))
    output = capsys.readouterr().out
    assert f"Ready: snakemake --cores all --configfile {DEMO}" in output and not hint(
        settings.load(None, [DEMO]), Path("results")
    )


def test_everything_missing_for_the_paper_run_is_printed_in_order(capsys: pytest.CaptureFixture) -> None:
    assert not prepare([PAPER], Path("results"), fetch=False)
    output = capsys.readouterr().out
    assert [match[1] for match in re.finditer(r"^\d\. ([\w ]+): ", output, re.M)] == list(STEPS)
    paper_settings = settings.load(None, [PAPER], whole=True)
    for artefact in paper_settings.zoo.artefacts.values():
        assert re.search(
            rf"- {re.escape(artefact.id)}, (about )?[\d,]+ MB|- {artefact.id}, by hand", output
        ), artefact.id
    for name, method in paper_settings.samples.methods.items():
        if method.kind == "external":
            recipe, _ = load_recipe(method.recipe)
            assert f"git clone {recipe.repository} {name} && git -C {name} checkout {recipe.commit}" in output
            assert f"conda env create -p {name}/env -f envs/{recipe.environment}.yaml" in output
            assert all(weight.path in output for weight in recipe.weights if not weight.when)
    assert "corpora: {accept_licence: [hdtf, ravdess]}" in output and "there is no folder data/MEAD" in output
    assert LEFT_OUT in output and "Not ready" in output


def test_what_the_documentation_says_of_methods_left_out_is_what_is_printed() -> None:
    text = (ROOT / "docs/paper_run.md").read_text(encoding="utf-8")
    assert LEFT_OUT in " ".join(text.split())


def test_what_is_printed_for_a_configuration_of_mine_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Every line that it prints to paste is a configuration; with all of them no licence
    is missing.
    """
    prepare([PAPER], Path("results"), fetch=False)
    lines = re.findall(r"^ +((?:corpora|zoo): \{accept_licence.*)$", capsys.readouterr().out, re.M)
    mine = overlay(tmp_path, **{key: value for line in lines for key, value in yaml.safe_load(line).items()})
    assert not [
        need
        for need in missing(settings.load(None, [PAPER, mine]), Path("results"))
        if need.step == "Licences"
    ]


def test_weights_with_an_accepted_licence_are_fetched_and_a_failure_does_not_stop_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / ALEXNET).write_bytes(b"weights" * 100)
    with serve(tmp_path / "served") as address:
        files = {"lpips-alex": ALEXNET, "inception-fid": "not-there.pth"}
        entries = {name: {"files": [{"name": file, "url": address + file}]} for name, file in files.items()}
        (tmp_path / "registry.yaml").write_text(yaml.safe_dump(entries))
        monkeypatch.setenv("EADBENCH_REGISTRY", str(tmp_path / "registry.yaml"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert not prepare([PAPER], Path("results"), accepted=list(files))
    output = capsys.readouterr().out
    assert (tmp_path / "cache/weights/lpips-alex" / ALEXNET).read_bytes() == b"weights" * 100
    assert "weights lpips-alex" not in output and "- lpips-alex" not in output
    assert re.search(r"- inception-fid, .*\n +from .*\n +.*not-there.pth", output), (
        "a failure is printed with its reason"
    )
    assert "- syncnet-v2, 55 MB" in output, "not accepted: not asked for"


def test_a_method_with_a_checkout_is_checked_and_the_others_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "checkout").mkdir()
    mine = overlay(tmp_path, samples={"methods": {"wav2lip": {"path": str(tmp_path / "checkout")}}})
    prepare([PAPER, mine], Path("results"), fetch=False)
    output = capsys.readouterr().out
    assert (
        "- wav2lip: repository is not a git checkout, expected" in output
        and "- wav2lip: weights are missing" in output
    )
    assert "Left out: ip_lap, musetalk, latentsync, eat, edtalk." in output


def test_what_an_earlier_run_fetched_is_not_asked_for_again() -> None:
    for name in ("hdtf", "ravdess"):
        Path(f"results/corpora/{name}").mkdir(parents=True)
        Path(f"results/corpora/{name}/fetch.json").write_text("{}")
    Path("results/zoo/vae").mkdir(parents=True)
    card = Path("results/zoo/vae/card.json")
    card.write_text('{"id": "sd-vae-ft-mse"}')
    needs = [need.what for need in missing(settings.load(None, [PAPER]), Path("results"))]
    assert not [what for what in needs if "corpus" in what or "sd-vae-ft-mse" in what] and any(
        "whisper-tiny" in what for what in needs
    )
    card.write_text('{"id": "vae-trained"}')  # a demo's, of the same name
    needs = [need.what for need in missing(settings.load(None, [PAPER]), Path("results"))]
    assert any("sd-vae-ft-mse" in what for what in needs)


def test_missing_cookies_and_folders_are_reported(tmp_path: Path) -> None:
    mine = overlay(
        tmp_path, corpora={"sets": {"hdtf": {"cookies": "nowhere.txt"}, "mead": {"root": "elsewhere"}}}
    )
    needs = {need.what for need in missing(settings.load(None, [PAPER, mine]), Path("results"))}
    assert {"hdtf: there is no file nowhere.txt", "mead: there is no folder elsewhere"} <= needs


def test_a_bad_configuration_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(EadbenchError, match="did you mean 'accept_licence'"):
        prepare([PAPER, overlay(tmp_path, zoo={"accept_license": []})], Path("results"))


def test_every_fetched_artefact_has_a_size_or_comes_by_hand() -> None:
    assert [
        name for name, entry in registry().items() if entry.size == "size unknown" and not entry.manual
    ] == ["hsemotion-b0-8"]


def test_planning_needs_none_of_the_large_libraries_for_it() -> None:
    code = "import sys, eadbench.plan.missing; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    loaded = set(result.stdout.split())
    assert "pydantic" in loaded, result.stderr
    assert not loaded & {
        "torch",
        "numpy",
        "pandas",
        "pyarrow",
        "cv2",
        "av",
        "typer",
        "requests",
        "transformers",
        "duckdb",
    }
