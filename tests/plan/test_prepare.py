"""``eadbench prepare``: what is missing, in order; what can be fetched is; one truth
with the documentation.
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


def test_the_space_that_a_run_needs_is_the_plan_s_and_what_is_there_counts(tmp_path: Path) -> None:
    given = settings.load(None, [PAPER], whole=True)
    before = {place.folder.name: place.bytes for place in disk.places([PAPER], given, Path("results"))[:-3]}
    assert before["features"] == pytest.approx(950e9, rel=0.05) and before["corpora"] > 60e9
    Path("results/features").mkdir(parents=True)
    with Path("results/features/latents.safetensors").open("wb") as file:
        file.truncate(10**9)
    found = disk.places([PAPER], given, Path("results"))
    after = {place.folder.name: place.bytes for place in found[:-3]}
    assert before["features"] - after["features"] == 10**9
    training, weights, temporary = found[-3:]
    assert weights.folder == tmp_path / "cache/weights" and weights.bytes > 20e9
    assert training.bytes > 4 * 4e9 and 1e9 < temporary.bytes < 10e9
    (room,) = disk.rooms(found)
    assert (
        room.needed == sum(place.bytes for place in found)
        and room.mount.is_mount()
        and not disk.needs_of([room])
    )


def test_too_little_space_is_told_by_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: Usage(4e12, 0, 61e9))
    assert not prepare([PAPER], Path("results"), fetch=False)
    told = capsys.readouterr().out
    assert re.search(
        r"1\. Disk space: 1 missing\n   - /\S*: 1,3\d\d GB needed, 61 GB free: 1,\d+ GB too little", told
    )
    assert re.search(r"results/features +95\d GB$", told, re.M) and "TMPDIR" in told


def test_folders_on_several_disks_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Path("/dev/shm")
    if not shared.is_mount():
        pytest.skip("/dev/shm is no file system of its own here")
    found = [disk.Place("", Path("results/zoo"), 3e9), disk.Place("", shared / "not/there", 5e9)]
    here, other = disk.rooms(found)
    assert (here.needed, other.needed, other.mount) == (3e9, 5e9, shared)
    assert [need.what.partition(":")[0] for need in disk.needs_of([here, disk.Room(shared, 5e9, 4e9)])] == [
        str(shared)
    ]


def test_weights_that_do_not_fit_are_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: Usage(1e9, 0, 1e6))
    monkeypatch.setattr("eadbench.plan.prepare.fetch_files", lambda *given: pytest.fail("it was fetched"))
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


def overlay(tmp_path: Path, **given: object) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


def test_the_demo_needs_nothing(capsys: pytest.CaptureFixture) -> None:
    assert prepare([DEMO], Path("results"))
    told = capsys.readouterr().out
    assert f"Ready: snakemake --cores all --configfile {DEMO}" in told and not hint(
        settings.load(None, [DEMO]), Path("results")
    )


def test_the_paper_run_is_told_everything_in_order(capsys: pytest.CaptureFixture) -> None:
    assert not prepare([PAPER], Path("results"), fetch=False)
    told = capsys.readouterr().out
    assert [match[1] for match in re.finditer(r"^\d\. ([\w ]+): ", told, re.M)] == list(STEPS)
    given = settings.load(None, [PAPER], whole=True)
    for artefact in given.zoo.artefacts.values():
        assert re.search(rf"- {re.escape(artefact.id)}, (about )?[\d,]+ MB|- {artefact.id}, by hand", told), (
            artefact.id
        )
    for name, method in given.samples.methods.items():
        if method.kind == "external":
            recipe, _ = load_recipe(method.recipe)
            assert f"git clone {recipe.repository} {name} && git -C {name} checkout {recipe.commit}" in told
            assert f"conda env create -p {name}/env -f envs/{recipe.environment}.yaml" in told
            assert all(weight.path in told for weight in recipe.weights if not weight.when)
    assert "corpora: {accept_licence: [hdtf, ravdess]}" in told and "there is no folder data/MEAD" in told
    assert LEFT_OUT in told and "Not ready" in told


def test_what_the_documentation_says_of_methods_left_out_is_what_is_printed() -> None:
    text = (ROOT / "docs/paper_run.md").read_text(encoding="utf-8")
    assert LEFT_OUT in " ".join(text.split())


def test_what_is_printed_for_a_configuration_of_mine_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Every line that it gives to paste is a configuration, and with all of them
    nothing more is asked of the licences.
    """
    prepare([PAPER], Path("results"), fetch=False)
    lines = re.findall(r"^ +((?:corpora|zoo): \{accept_licence.*)$", capsys.readouterr().out, re.M)
    mine = overlay(tmp_path, **{key: value for line in lines for key, value in yaml.safe_load(line).items()})
    assert not [
        need
        for need in missing(settings.load(None, [PAPER, mine]), Path("results"))
        if need.step == "Licences"
    ]


def test_weights_with_an_accepted_licence_are_fetched_and_a_failure_costs_itself(
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
    told = capsys.readouterr().out
    assert (tmp_path / "cache/weights/lpips-alex" / ALEXNET).read_bytes() == b"weights" * 100
    assert "weights lpips-alex" not in told and "- lpips-alex" not in told
    assert re.search(r"- inception-fid, .*\n +from .*\n +.*not-there.pth", told), (
        "what failed is told with its reason"
    )
    assert "- syncnet-v2, 55 MB" in told, "not accepted: not asked for"


def test_a_method_with_a_checkout_is_looked_at_and_the_others_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "checkout").mkdir()
    mine = overlay(tmp_path, samples={"methods": {"wav2lip": {"path": str(tmp_path / "checkout")}}})
    prepare([PAPER, mine], Path("results"), fetch=False)
    told = capsys.readouterr().out
    assert (
        "- wav2lip: repository is not a git checkout, expected" in told
        and "- wav2lip: weights are missing" in told
    )
    assert "Left out: ip_lap, musetalk, latentsync, eat, edtalk." in told


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


def test_cookies_and_folders_that_are_not_there_are_told(tmp_path: Path) -> None:
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
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    loaded = set(done.stdout.split())
    assert "pydantic" in loaded, done.stderr
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
