# The eadbench package, for the rules below and for their jobs. In a checkout it lies beside the workflow. Of a workflow that another Snakefile names with
# github(...) only single files are fetched; then the package has to be installed beside Snakemake.
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.shell import shell

_checkout = Path(str(workflow.current_basedir)).parents[1]
if (_checkout / "eadbench/__init__.py").is_file():
    sys.path.insert(0, str(_checkout))
try:
    import eadbench
except ImportError as error:
    raise WorkflowError(
        "eadbench's Python package is neither beside the workflow nor installed; github(...) and gitfile(...) fetch the rules only: name the "
        "workflow/Snakefile of a checkout, or install the package of the same version where snakemake runs; see config/README.md"
    ) from error


def package_folder():
    """What goes into PYTHONPATH: the checkout, or, if the package is installed, a folder that holds it and none of its neighbours."""
    home = Path(eadbench.__file__).resolve().parents[1]
    if home.name not in ("site-packages", "dist-packages"):
        return home
    link = Path(f".snakemake/eadbench-{eadbench.__version__}/eadbench").absolute()
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(home / "eadbench")
    return link.parent


# No environment has to install the package. Without environments of its own a job uses the Python that runs Snakemake. A workflow that uses this one as a
# module has one prefix for all its jobs: what it holds already stays.
_prefix = f"export PYTHONPATH={shlex.quote(str(package_folder()))}${{PYTHONPATH:+:$PYTHONPATH}}; "
if not workflow.deployment_settings.deployment_method & {
    DeploymentMethod.CONDA,
    DeploymentMethod.APPTAINER,
}:
    _prefix += f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; "
_before = shell._get_process_prefix()
if _prefix not in _before:
    shell.prefix((_before + _prefix).replace("{", "{{").replace("}", "}}"))
