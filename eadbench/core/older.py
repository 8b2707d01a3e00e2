"""Results of an older eadbench: refused before anything is planned, so that old and new
are never in one table.
"""

import json
from pathlib import Path

from eadbench.core.errors import EadbenchError
from eadbench.core.settings import VERB


def refuse_older(results: Path) -> None:
    """Refuse a folder of results whose jobs were given whole sections of the
    configuration, as older versions did it.

    Args:
        results: The workflow's folder; it need not be there.

    Raises:
        EadbenchError: If an older eadbench made it.
    """
    for path in sorted(results.glob("corpora/*/provenance.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            records = [record, *record.get("earlier", {}).values()]
            older = any(
                "--settings" in entry.get("command", []) and VERB not in (entry.get("config") or {})
                for entry in records
            )
        except (OSError, ValueError, AttributeError, TypeError):
            continue  # the job that reads it reports what is wrong
        if older:
            hint = (
                "move the folder away, or plan in another one with --directory; `eadbench tables "
                "compare` still reads it"
            )
            raise EadbenchError(
                "these results are of an older eadbench and cannot be gone on with", path, hint
            )
