"""Finished videos from elsewhere."""

import glob
import hashlib
from functools import cached_property
from pathlib import Path

from eadbench.core import seals
from eadbench.core.errors import EadbenchError
from eadbench.core.files import sha256_of
from eadbench.core.protocols import PROTOCOLS
from eadbench.core.sheets import read_sheet
from eadbench.media.files import VIDEO, find_file
from eadbench.samples.manifest import RenderJob
from eadbench.samples.methods.base import MissingItem, RawResult, UserMethod
from eadbench.samples.templates import fill_one


class VideosMethod(UserMethod):
    """A folder named by clip ids, or by a mapping table."""

    protocols = frozenset(PROTOCOLS)
    takes_intensity = True  # each folder holds one intensity

    @property
    def hash(self) -> str:
        mapping = self._mapping_path()
        if mapping and mapping.exists():
            return sha256_of(mapping)
        return hashlib.sha256(self.options.path.encode()).hexdigest()

    def needs(self) -> list[str]:
        names = f"by {self.options.mapping}" if self.options.mapping else "named {clip_id}.mp4"
        return [f"videos in {self.options.path} {names}"]

    def missing_items(self) -> list[MissingItem]:
        if "{" not in self.options.path and not Path(self.options.path).is_dir():
            return [MissingItem("folder of videos is missing", self.options.path)]
        mapping = self._mapping_path()
        if mapping and not mapping.exists():
            return [MissingItem("mapping table is missing", str(mapping))]
        return []

    def render(self, job: RenderJob, work: Path) -> RawResult:
        file = self.file_of(job.clip_id, job.corpus, job.protocol)
        seals.check(file)  # another method of this benchmark may have made it
        return RawResult(file=file, alignment=self.alignment, seconds=float("nan"), peak_mb=float("nan"))

    def file_of(self, clip_id: str, corpus: str, protocol: str) -> Path:
        """The video of a clip; one from the mapping table need not exist.

        Raises:
            EadbenchError: If there is none, or the mapping cannot be read.
        """
        cell = {"corpus": corpus, "protocol": protocol}
        folder = Path(fill_one(self.options.path, cell, f"samples.methods.{self.name}.path"))
        if self.options.mapping:
            return self._mapped({"clip_id": clip_id, **cell}, folder)
        return _named(folder, clip_id)

    def _mapping_path(self) -> Path | None:
        return Path(self.options.mapping) if self.options.mapping else None

    @cached_property
    def _mapping(self) -> list[dict[str, str | None]]:
        """Rows of the mapping table."""
        path, form = self._mapping_path(), "columns: clip_id, video, and corpus, protocol where they matter"
        sheet = read_sheet(path, "mappings", form)
        if missing := [name for name in ("clip_id", "video") if name not in sheet.headings]:
            headings = ", ".join(sheet.headings) or "nothing"
            raise EadbenchError(
                f"the mapping table lacks {' and '.join(missing)}; found: {headings}", path, form
            )
        return [row for _, row in sheet.rows]

    def _mapped(self, clip: dict[str, str], folder: Path) -> Path:
        """The file of the first row that fits a clip; empty values fit any."""
        for row in self._mapping:
            complete = row.get("clip_id") and row.get("video")
            if complete and all(row.get(key) in (None, "", value) for key, value in clip.items()):
                return find_file(folder, row["video"].replace("\\", "/"))
        raise EadbenchError(
            "not in the mapping table", clip["clip_id"], f"add a row to {self.options.mapping}"
        )


def _named(folder: Path, clip_id: str) -> Path:
    """The one video in a folder that is named by a clip id, with any suffix."""
    suffixes = [spelling for suffix in sorted(VIDEO) for spelling in (suffix, suffix.upper())]
    paths = [path for suffix in suffixes if (path := folder / f"{clip_id}{suffix}").is_file()]
    # a file system that ignores case finds one file by both spellings
    by_inode = {(path.stat().st_dev, path.stat().st_ino): path for path in paths}
    files = list(by_inode.values())
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise EadbenchError(f"several videos of clip {clip_id}: {names}", folder, "leave one of them")
    if not files:
        others = sorted(path.name for path in folder.glob(f"{glob.escape(clip_id)}.*"))
        message = f"no video {clip_id}.mp4 in the folder"
        if others:
            message += f"; not read by its suffix: {', '.join(others)}"
        raise EadbenchError(message, folder)
    return files[0]
