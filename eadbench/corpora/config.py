"""Section ``corpora`` of the config: which corpora there are, where they come from, how
they are split.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from eadbench.core.section import SHAPES_NOTHING, Section
from eadbench.media.files import walk
from eadbench.synthetic.config import StudioConfig

Split = Literal["train", "val", "test"]
TERMS = {
    "hdtf": "HDTF: lists under CC BY 4.0 (https://github.com/MRzzm/HDTF); the videos belong to their "
    "makers and stand under the site's terms of use.",
    "mead": "MEAD: given by its owners on request, for non-commercial research only, no redistribution "
    "(https://wywu.github.io/projects/MEAD/MEAD.html).",
    "ravdess": "RAVDESS: CC BY-NC-SA 4.0, no commercial use, derived clips under the same licence "
    "(https://doi.org/10.5281/zenodo.1188976).",
}
DRAWN = "drawn people, synthetic voices"  # stands on figures and pages of a filmed corpus
_ENTRY = "corpora.sets.{corpus}"
_LISTING = tuple(
    f"{_ENTRY}.{key}" for key in ("kind", "labels", "views", "max_length_gap", "groups", "videos")
)
_FETCHING = (
    "kind",
    "root",
    "record",
    "archives",
    "lists",
    "groups",
    "videos",
    "max_height",
    "cookies",
    "rate_limit",
    "pause",
    "tries",
    "parallel",
)
READS = {
    "film": ("seed", f"{_ENTRY}.kind", f"{_ENTRY}.studio"),
    "fetch": (
        "corpora.accept_licence",
        f"{_ENTRY}.studio",
        *(f"{_ENTRY}.{key}" for key in _FETCHING),
        f"-{_ENTRY}.studio.*",
    ),
    "leaks": ("corpora.sets.*.kind", "corpora.sets.*.studio.layout", "corpora.sets.*.root"),
    "index": ("corpora.probe_threads", *_LISTING, f"{_ENTRY}.split", f"{_ENTRY}.hash_files"),
}


class SplitConfig(Section):
    """Who is in which split. A name is a speaker, a recording (which takes its speaker
    along) or a pattern such as ``W0*``.

    Attributes:
        test, val: Names.
        rest: Split of everyone else; ``test`` makes a whole corpus a test corpus.
    """

    test: list[str] = []
    val: list[str] = []
    rest: Split = "train"

    @model_validator(mode="after")
    def _each_is_in_one(self) -> "SplitConfig":
        if doubled := sorted(set(self.test) & set(self.val)):
            raise ValueError(
                f"{doubled[0]!r} stands under `test` and under `val`; splits are speaker-disjoint"
            )
        return self


class CorpusConfig(Section):
    """What all kinds of corpora share.

    Attributes:
        root: Folder with data that is there already; nothing is downloaded then.
        studio: The studio films the corpus (drawn actors); its files are then fetched
            from a server on this machine.
        split: Who is in which split.
        shards: Jobs that cut its clips.
        test_list: Test and validation clips of somebody's run, which the reports
            compare with those of this one: the name of a shipped list (``hdtf``,
            ``mead``, ``ravdess``) or the path of a CSV, e.g. another run's
            ``list.csv``.
        hash_files: Whether to hash every file (sha256), so that identical files are
            found wherever they are, and a changed one is cut again; on by default for
            ``folder``.
    """

    root: str | None = None
    studio: StudioConfig | None = None
    split: SplitConfig = SplitConfig()
    shards: int = Field(1, ge=1)
    test_list: str | None = None
    hash_files: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> "CorpusConfig":
        if self.root and self.studio:
            raise ValueError("give `root` or `studio`, not both")
        return self

    def reads(self) -> dict[str, str]:
        """What the index reads beside what was fetched, so that a change lists the
        recordings again; nothing by default.
        """
        return {}


class FolderCorpus(CorpusConfig):
    """Anyone's own videos.

    Attributes:
        labels: Table in the folder (CSV with a header) whose column ``file`` names
            videos and whose other columns may be ``speaker``, ``sex``, ``emotion``,
            ``level``, ``intensity``, ``view``, ``sentence``, ``audio`` (a separate
            audio file), ``start`` and ``end``. Videos that it does not name are taken
            too, each as a speaker of its own; without a table all are.
    """

    kind: Literal["folder"]
    labels: str = "labels.csv"
    hash_files: bool = True

    @model_validator(mode="after")
    def _has_root(self) -> "FolderCorpus":
        if not self.root:
            raise ValueError("a folder corpus needs `root`")
        return self

    def reads(self) -> dict[str, str]:
        """A hash of the names, sizes and times of all files in the folder; ``corpora
        index`` finds out which of them changed.
        """
        root, digest = Path(self.root).expanduser(), hashlib.sha256()
        for file in walk(root) if root.is_dir() else ():
            state = file.problem
            if not state:
                status = file.path.stat()
                state = f"{status.st_size} {status.st_mtime_ns}"
            digest.update(f"{file.path} {state}\n".encode(errors="surrogateescape"))
        return {"root": digest.hexdigest()}


class MeadCorpus(CorpusConfig):
    """MEAD (Wang et al., ECCV 2020): folders per actor, or per-actor ``video.tar`` and
    ``audio.tar``. Its owners give it on request only.

    Attributes:
        views: Camera views to take.
        max_length_gap: Seconds by which audio and video of a recording may differ in
            length.
    """

    kind: Literal["mead"]
    views: list[Literal["front", "down", "top", "left_30", "left_60", "right_30", "right_60"]] = ["front"]
    max_length_gap: float = Field(0.5, gt=0)

    @model_validator(mode="after")
    def _has_source(self) -> "MeadCorpus":
        if not (self.root or self.studio):
            raise ValueError(
                "MEAD cannot be downloaded: give `root`, the folder that holds the actors' folders (ask "
                "its owners for the data)"
            )
        return self


class RavdessCorpus(CorpusConfig):
    """RAVDESS (Livingstone & Russo, PLoS ONE 2018), Zenodo record 1188976.

    Attributes:
        record: Number of the Zenodo record.
        archives: Patterns of the record's archives to fetch.
        parallel: Archives fetched at the same time.
        tries: Tries per archive.
    """

    kind: Literal["ravdess"]
    record: str = "1188976"
    archives: list[str] = ["Video_Speech_Actor_*.zip"]
    parallel: int = Field(2, ge=1, le=4, json_schema_extra=SHAPES_NOTHING)
    tries: int = Field(5, ge=1, json_schema_extra=SHAPES_NOTHING)


class HdtfCorpus(CorpusConfig):
    """HDTF (Zhang et al., CVPR 2021): lists of web videos, times and face crops; the
    videos are fetched one by one.

    Attributes:
        lists: Address of the folder with the lists.
        groups: Groups of lists to read.
        cookies: Cookies file for the video site, in Netscape format.
        rate_limit: Bytes per second at most; ``None`` is unlimited.
        pause: Seconds between two videos.
        tries: Tries per video.
        max_height: Largest height to fetch.
        videos: Names of videos to take; empty takes all.
    """

    kind: Literal["hdtf"]
    lists: str = "https://raw.githubusercontent.com/MRzzm/HDTF/bbde889/HDTF_dataset/"
    groups: list[Literal["RD", "WDA", "WRA"]] = ["RD", "WDA", "WRA"]
    cookies: str | None = Field(None, json_schema_extra=SHAPES_NOTHING)
    rate_limit: int | None = Field(None, json_schema_extra=SHAPES_NOTHING)
    pause: float = Field(5.0, ge=0, json_schema_extra=SHAPES_NOTHING)
    tries: int = Field(3, ge=1, json_schema_extra=SHAPES_NOTHING)
    max_height: int = 1080
    videos: list[str] = []


AnyCorpus = Annotated[FolderCorpus | MeadCorpus | RavdessCorpus | HdtfCorpus, Field(discriminator="kind")]


class CorporaConfig(Section):
    """The corpora of a run.

    Attributes:
        accept_licence: Kinds of corpora (``hdtf``, ``ravdess``) whose terms you have
            read and accept; without it nothing is downloaded.
        probe_threads: Files probed at the same time.
        sets: The corpora by name.
    """

    accept_licence: list[Literal["hdtf", "mead", "ravdess"]] = Field([], json_schema_extra=SHAPES_NOTHING)
    probe_threads: int = Field(4, ge=1, json_schema_extra=SHAPES_NOTHING)
    sets: dict[str, AnyCorpus] = {}

    @property
    def drawn(self) -> tuple[str, ...]:
        """Corpora that the studio films: their people are drawn and their voices
        synthetic.
        """
        return tuple(name for name, corpus in self.sets.items() if corpus.studio is not None)
