"""Models in the folder form of transformers, read from disk only."""

from pathlib import Path
from typing import Any

from eadbench.core.errors import EadbenchError


def from_folder(auto: Any, folder: Path, **options: Any) -> Any:
    """``auto.from_pretrained(folder)`` without network and without code from the folder.

    Raises:
        EadbenchError: If files are missing, damaged or of another model.
    """
    try:
        return auto.from_pretrained(str(folder), local_files_only=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        mend = "fetch the artefact again, see `eadbench zoo list`"
        raise EadbenchError(f"{auto.__name__} cannot read the folder: {first}", folder, mend) from error
