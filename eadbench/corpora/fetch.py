"""``corpora fetch``: download a corpus, or record where it is already."""

import json
import logging
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from eadbench.core import provenance, seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import write_text
from eadbench.core.settings import entry_of
from eadbench.core.tables import FAILED, relative_to
from eadbench.corpora.config import TERMS, CorporaConfig, CorpusConfig
from eadbench.corpora.origin import Origin

log = logging.getLogger(__name__)


def fetch(corpus: str, studio: Path | None, out: Path, config: CorporaConfig) -> None:
    """Fetch a corpus to ``raw/`` beside ``out`` and write ``out`` (JSON): where its
    files are and what became of each.

    Raises:
        EadbenchError: If the terms were not accepted, or nothing could be fetched.
    """
    started = time.time()
    settings = entry_of(config.sets, corpus, "corpora.sets")
    raw = out.parent / "raw"
    if settings.root:
        root, files, how = _corpus_folder(settings), [], "root"
    else:
        for name in seals.drop_damaged(out.parent):
            log.warning("%s: %s was changed since it was fetched and is fetched again", corpus, name)
        with _origin(settings, studio, config) as origin:
            root, files = import_module(f"eadbench.corpora.{settings.kind}").fetch(origin, raw, settings)
        how = "studio" if studio else "download"
    counts = Counter(file.status for file in files)
    for file in files:
        if file.status == FAILED:
            log.warning("%s: %s: %s", corpus, file.name, file.reason)
    if files and len(files) == counts[FAILED]:
        raise EadbenchError(
            f"none of {len(files)} files of corpus {corpus!r} could be fetched",
            files[0].url,
            f"the first reason: {files[0].reason}",
        )
    record = {
        "corpus": corpus,
        "kind": settings.kind,
        "how": how,
        "terms": TERMS.get(settings.kind, ""),
        "root": relative_to(root, out.parent),
        "files": [asdict(file) for file in files],
    }
    write_text(out, json.dumps(record, indent=1) + "\n")
    downloaded = []
    if not settings.root and raw.exists():
        downloaded = [path for path in raw.rglob("*") if path.is_file()]
    seals.seal_files(out.parent, [out, *downloaded], out)
    log.info("%s: %s from %s, files: %s", corpus, how, root, dict(counts) or "as they are")
    provenance.write(out.parent, settings.model_dump(), started=started)


def _corpus_folder(settings: CorpusConfig) -> Path:
    root = Path(settings.root).expanduser()
    if not root.is_dir():
        raise EadbenchError(
            "the corpus folder does not exist", root, "set `root:` of the corpus to the folder with its files"
        )
    return root


@contextmanager
def _origin(settings: CorpusConfig, studio: Path | None, config: CorporaConfig):
    if studio is not None:
        from eadbench.corpora.loopback import serve

        if not studio.is_file():
            raise EadbenchError("the studio has not filmed this corpus", studio, "run `synthetic film` first")
        seals.check_all(studio.parent)
        with serve(studio.parent) as address:
            yield Origin(address, studio.parent)
        return
    if settings.studio:
        raise EadbenchError(
            "this corpus is filmed by the studio",
            "corpora fetch",
            "give --studio results/studio/CORPUS/studio.json",
        )
    log.info("terms of %s: %s", settings.kind, TERMS[settings.kind])
    if settings.kind not in config.accept_licence:
        raise EadbenchError(
            f"the terms of {settings.kind} were not accepted: {TERMS[settings.kind]}",
            "corpora: accept_licence",
            f"read them, then set `accept_licence: [{settings.kind}]`",
        )
    yield Origin()
