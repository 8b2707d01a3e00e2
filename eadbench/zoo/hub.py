"""Models in the folder form of transformers, read from disk only."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from eadbench.core.errors import EadbenchError
from eadbench.zoo.card import Card


def from_folder(auto: Any, folder: Path, **options: Any) -> Any:
    """``auto.from_pretrained(folder)`` without network and without code from the
    folder.

    Raises:
        EadbenchError: If files are missing, damaged or of another model.
    """
    try:
        return auto.from_pretrained(str(folder), local_files_only=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        message = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        hint = "fetch the artefact again, see `eadbench zoo list`"
        raise EadbenchError(f"{auto.__name__} cannot read the folder: {message}", folder, hint) from error


def model_from_folder(auto: Any, folder: Path, card: Card, unused: str = "", **options: Any) -> Any:
    """A model by :func:`from_folder` whose tensors all come from the folder; the
    libraries draw missing ones at random.

    It computes in the card's ``dtype``. By itself transformers 5 would take the one in
    which the folder was saved, so that a bfloat16 folder gave other numbers without
    notice.

    Args:
        auto: A model class of transformers or diffusers.
        folder: Its files.
        card: Its card.
        unused: Beginning of the names of tensors that may be missing, since nothing
            here uses their output.
        options: Further options of ``from_pretrained``.

    Raises:
        EadbenchError: If files are missing, damaged or of another model, or tensors are
            missing.
    """
    key = "torch_dtype" if auto.__module__.startswith("diffusers") else "dtype"
    with _no_report_of_unused_tensors():
        model, report = from_folder(
            auto, folder, output_loading_info=True, **{key: getattr(torch, card.dtype)}, **options
        )
    missing = sorted(name for name in report["missing_keys"] if not (unused and name.startswith(unused)))
    if missing:
        names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise EadbenchError(
            f"the weights lack {len(missing)} tensors of {auto.__name__}: {names}",
            folder,
            "fetch the artefact again, see `eadbench zoo list`",
        )
    return model


@contextmanager
def _no_report_of_unused_tensors() -> Iterator[None]:
    """Without transformers' table of tensors that the file has and the model does not,
    as those of a decoder; what is missing is checked here, other reports are let
    through.
    """

    def keep(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return "LOAD REPORT" not in text or "MISMATCH" in text or "CONVERSION" in text

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
