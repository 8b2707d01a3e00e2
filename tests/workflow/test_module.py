"""The workflow as a module of another: as snakedeploy writes it, under other names,
from a local path and from single files of git.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from workflow.running import ROOT, SNAKEMAKE, snakemake

from eadbench import __version__
from eadbench.core import schemas
from eadbench.core.tables import read_table

# What snakedeploy 0.17.1 writes into workflow/Snakefile; `snakefile` is its declaration
# of the source.
DEPLOYED = """
from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


# declare SOURCE as a module
module eadbench:
    snakefile: 
        {snakefile}
    config:
        config


# use all rules from SOURCE
use rule * from eadbench
"""  # noqa: W291
# A rule of the importing workflow: where its job finds the package, and what its
# PYTHONPATH begins with.
ASK = """
rule ask:
    output: "asked.txt"
    shell: "python -c 'import eadbench; print(eadbench.__file__)' > {output};"
        " echo ${{PYTHONPATH%%:*}} >> {output}; false | true"
"""
INDEX = "results/corpora/demo_ravdess/index.parquet"


def deploy(folder: Path, snakefile: str, more: str = "") -> None:
    """What `snakedeploy deploy-workflow` leaves in an empty folder: configuration,
    profiles, licence, and a Snakefile with the module.
    """
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    shutil.copy(ROOT / "LICENSE", folder)
    (folder / "workflow").mkdir()
    (folder / "workflow/Snakefile").write_text(DEPLOYED.format(snakefile=snakefile) + more)


def call(
    folder: Path, *options: str, packages: Path | None = None, timeout: float = 300
) -> subprocess.CompletedProcess:
    """Snakemake in a folder, as its user calls it; ``packages`` comes before what this
    Python has installed.
    """
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if packages:
        env["PYTHONPATH"] = str(packages)
    command = [str(SNAKEMAKE), "--cores", "2", *options]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=timeout)


def jobs_of(done: subprocess.CompletedProcess, prefix: str = "") -> dict[str, int]:
    """Rule -> number of jobs in a dry run; every rule's name must begin with
    ``prefix``.
    """
    assert done.returncode == 0, done.stdout + done.stderr
    table = re.search(r"job\s+count\n[-\s]+\n(.*?)\ntotal", done.stdout + done.stderr, re.S)
    assert table, done.stdout + done.stderr
    rows = [line.split() for line in table.group(1).splitlines()]
    assert all(name.startswith(prefix) for name, _ in rows)
    return {name.removeprefix(prefix): int(count) for name, count in rows}


@pytest.fixture(scope="module")
def smoke_jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The smoke size as the checkout's own Snakefile plans it."""
    return jobs_of(snakemake(tmp_path_factory.mktemp("own"), "--dry-run"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A second checkout, so that a job that imports the installed package instead can
    be told apart.
    """
    folder = tmp_path / "a copy"
    for name in ("eadbench", "workflow", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def repository(tmp_path: Path, copy: Path) -> str:
    """The declaration of workflow/Snakefile in a git repository, of which Snakemake
    fetches single files, as it does with github(...).
    """
    for command in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "all"],
    ):
        who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *who, *command], cwd=copy, check=True)
    return f'gitfile({str(copy)!r}, path="workflow/Snakefile", ref="main")'


def test_deployed_as_snakedeploy_does_it_plans_the_smoke_size(tmp_path, smoke_jobs):
    """The overlay goes over the deployed config/config.yaml, which is the demo's."""
    deploy(tmp_path / "run", f'"{ROOT}/workflow/Snakefile"')
    small = call(tmp_path / "run", "--dry-run", "--configfile", "config/smoke.yaml")
    assert jobs_of(small) == smoke_jobs
    assert "profiles/default" in small.stdout + small.stderr, "the profile that was deployed is used"


def test_the_catalogs_test_folder_is_the_smoke_size(tmp_path, smoke_jobs):
    for name in ("config", "workflow", "config.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(
        ROOT / ".test", tmp_path / ".test", ignore=shutil.ignore_patterns(".snakemake", "results", "logs")
    )
    assert (
        jobs_of(call(tmp_path, "--dry-run", "--snakefile", ".test/Snakefile", "--directory", ".test"))
        == smoke_jobs
    )


def test_jobs_of_a_module_import_the_package_of_its_checkout(tmp_path, copy):
    deploy(tmp_path / "run", f'"{copy}/workflow/Snakefile"', ASK)
    done = call(tmp_path / "run", "ask")
    assert done.returncode, "`pipefail` holds in the jobs of the importing workflow, as without the module"
    asked = tmp_path / "run/asked.txt"
    assert not asked.exists()
    (tmp_path / "run/workflow/Snakefile").write_text(
        (tmp_path / "run/workflow/Snakefile").read_text().replace("; false | true", "")
    )
    done = call(tmp_path / "run", "ask")
    assert done.returncode == 0, done.stdout + done.stderr
    assert asked.read_text().splitlines() == [f"{copy}/eadbench/__init__.py", str(copy)]


def test_rules_keep_working_under_other_names_and_in_a_folder_of_their_own(tmp_path, smoke_jobs):
    (tmp_path / "Snakefile").write_text(
        f"""
configfile: "{ROOT}/config.yaml"
configfile: "{ROOT}/config/smoke.yaml"
module eadbench:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config
    prefix: "heads"
use rule * from eadbench as heads_*
"""
    )
    done = call(tmp_path, "--dry-run", "--printshellcmds")
    assert jobs_of(done, "heads_") == smoke_jobs
    commands = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if line.startswith("Shell command: python -m eadbench")
    ]
    assert len(commands) == sum(smoke_jobs.values()) - smoke_jobs["all"]
    for command in commands:
        command = command.split(" --settings ")[0]
        assert not re.search(r"(?<!heads/)results/", command), command


def test_a_single_target_of_a_deployed_workflow_is_made(tmp_path):
    deploy(tmp_path / "run", f'"{ROOT}/workflow/Snakefile"')
    done = call(tmp_path / "run", INDEX, "--configfile", "config/smoke.yaml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len(read_table(tmp_path / "run" / INDEX, schemas.INDEX)) == 2


@pytest.mark.pipeline
@pytest.mark.timeout(2400)
def test_the_smoke_size_runs_where_it_was_deployed(smoke, tmp_path):
    """Corpora, clips and trained evaluators are the smoke run's, of which a deployed
    workflow knows nothing but the files; all after them is made anew.
    """
    deploy(tmp_path / "run", f'"{ROOT}/workflow/Snakefile"')
    for part in ("studio", "corpora", "clips", "zoo"):
        shutil.copytree(smoke / "results" / part, tmp_path / "run/results" / part)
    done = call(tmp_path / "run", "--configfile", "config/smoke.yaml", timeout=2300)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    made = set(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", done.stdout + done.stderr))
    assert {"write_captions", "extract_features", "train", "make_samples", "build_tables"} <= made
    assert not {"film", "fetch_corpus", "cut_clips"} & made
    assert len(read_table(tmp_path / "run/results/tables/scores.parquet", schemas.SCORES))
    assert (tmp_path / "run/results/report/index.html").stat().st_size > 10_000


def test_rules_fetched_alone_say_that_the_package_is_needed(tmp_path, repository):
    hidden = tmp_path / "hidden/eadbench"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('not here')\n")
    deploy(tmp_path / "run", repository)
    done = call(tmp_path / "run", "--dry-run", packages=hidden.parent)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "eadbench's Python package" in line]
    assert done.returncode and len(lines) == 1 and "config/README.md" in lines[0]
    assert "Traceback" not in done.stdout + done.stderr


def test_rules_fetched_alone_use_the_installed_package_and_none_of_its_neighbours(
    tmp_path, repository, smoke_jobs
):
    packages = tmp_path / "lib/site-packages"
    shutil.copytree(ROOT / "eadbench", packages / "eadbench", ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "neighbour.py").touch()
    deploy(tmp_path / "run", repository, ASK.replace("; false | true", ""))
    small = ("--configfile", "config/smoke.yaml")
    assert jobs_of(call(tmp_path / "run", "--dry-run", *small, packages=packages)) == smoke_jobs
    done = call(tmp_path / "run", "ask", *small, packages=packages)
    assert done.returncode == 0, done.stdout + done.stderr
    module, first = (tmp_path / "run/asked.txt").read_text().splitlines()
    assert Path(module).resolve() == packages / "eadbench/__init__.py"
    assert [path.name for path in Path(first).iterdir()] == ["eadbench"], (
        "an environment of its own must not see the libraries of Snakemake's"
    )


@pytest.mark.parametrize("how", ["local", "git"])
def test_environments_of_the_rules_are_found_from_the_module(tmp_path, request, how):
    snakefile = f'"{ROOT}/workflow/Snakefile"' if how == "local" else request.getfixturevalue("repository")
    check = """
for rule in workflow.rules:
    if rule.name != "all":
        env = rule.basedir.join(rule.conda_env)
        print("ENV", env, workflow.sourcecache.exists(env), file=sys.stderr)
"""
    deploy(tmp_path / "run", snakefile, check)
    path = tmp_path / "run/workflow/Snakefile"
    path.write_text("import sys\n" + path.read_text())
    done = call(tmp_path / "run", "--dry-run", "--quiet", "all", "--configfile", "config/smoke.yaml")
    found = re.findall(r"^ENV (\S.*) (\w+)$", done.stderr, re.M)
    assert {Path(name.partition("@")[0]).stem for name, _ in found} == {
        "media",
        "captions",
        "training",
        "scoring",
        "tables",
    }
    assert {there for _, there in found} == {"True"}


def test_catalog_and_citation_say_what_is_there():
    catalog = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert catalog["software-stack-deployment"]["conda"] is True and catalog["report"] is True
    assert (ROOT / "config/README.md").exists() and (ROOT / "workflow/Snakefile").exists()
    assert (ROOT / "config/config.yaml").resolve() == ROOT / "config.yaml"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (
        citation["cff-version"] == "1.2.0"
        and citation["license"] == "Apache-2.0"
        and citation["authors"]
        and citation["message"]
    )
    assert "version" not in citation, "the version stands in eadbench/__init__.py alone"
    assert "2604.23325" in str(citation["references"])


def test_the_changelog_begins_with_the_version():
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert versions[0] == "Unreleased" and (versions[1:] or [__version__])[0] == __version__
