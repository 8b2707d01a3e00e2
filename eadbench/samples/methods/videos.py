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
from eadbench.samples.methods.base import Described, Lack, Raw
from eadbench.samples.templates import fill_one


class VideosMethod(Described):
    """A folder named by clip ids, or by a mapping table."""

    protocols = frozenset(PROTOCOLS)
    takes_intensity = True  # whoever made the folders has told it

    @property
    def hash(self) -> str:
        mapping = self._mapping_path()
        return (
            sha256_of(mapping)
            if mapping and mapping.exists()
            else hashlib.sha256(self.options.path.encode()).hexdigest()
        )

    def needs(self) -> list[str]:
        return [
            f"videos in {self.options.path}"
            + (f" by {self.options.mapping}" if self.options.mapping else " named {clip_id}.mp4")
        ]

    def lacks(self) -> list[Lack]:
        if "{" not in self.options.path and not Path(self.options.path).is_dir():
            return [Lack("folder of videos is missing", self.options.path)]
        mapping = self._mapping_path()
        return [Lack("mapping table is missing", str(mapping))] if mapping and not mapping.exists() else []

    def render(self, job: RenderJob, work: Path) -> Raw:
        file = self.file_of(job.clip_id, job.corpus, job.protocol)
        seals.check(file)  # another method of this benchmark may have made it
        return Raw(file=file, alignment=self.alignment, seconds=float("nan"), peak_mb=float("nan"))

    def file_of(self, clip_id: str, corpus: str, protocol: str) -> Path:
        """The video of a clip; of one that a mapping names, it need not be there.

        Raises:
            EadbenchError: If there is none, or the mapping cannot be read.
        """
        wanted = {"clip_id": clip_id, "corpus": corpus, "protocol": protocol}
        place = {"corpus": corpus, "protocol": protocol}
        folder = Path(fill_one(self.options.path, place, f"samples.methods.{self.name}.path"))
        return self._mapped(wanted, folder) if self.options.mapping else _named(folder, clip_id)

    def _mapping_path(self) -> Path | None:
        return Path(self.options.mapping) if self.options.mapping else None

    @cached_property
    def _mapping(self) -> list[dict[str, str | None]]:
        """Rows of the mapping table."""
        path, form = self._mapping_path(), "columns: clip_id, video, and corpus, protocol where they matter"
        sheet = read_sheet(path, "mappings", form)
        if lacking := [name for name in ("clip_id", "video") if name not in sheet.headings]:
            found = ", ".join(sheet.headings) or "nothing"
            raise EadbenchError(
                f"the mapping table lacks {' and '.join(lacking)}; found: {found}", path, form
            )
        return [row for _, row in sheet.rows]

    def _mapped(self, wanted: dict[str, str], folder: Path) -> Path:
        for row in self._mapping:
            told = row.get("clip_id") and row.get("video")
            if told and all(row.get(key) in (None, "", value) for key, value in wanted.items()):
                return find_file(folder, row["video"].replace("\\", "/"))
        raise EadbenchError(
            "not in the mapping table", wanted["clip_id"], f"add a row to {self.options.mapping}"
        )


def _named(folder: Path, clip_id: str) -> Path:
    paths = [
        folder / f"{clip_id}{written}" for suffix in sorted(VIDEO) for written in (suffix, suffix.upper())
    ]
    # macOS knows no case
    found = list(
        {(path.stat().st_dev, path.stat().st_ino): path for path in paths if path.is_file()}.values()
    )
    if len(found) > 1:
        raise EadbenchError(
            f"several videos of clip {clip_id}: {', '.join(path.name for path in found)}",
            folder,
            "leave one of them",
        )
    if not found:
        near = sorted(path.name for path in folder.glob(f"{glob.escape(clip_id)}.*"))
        raise EadbenchError(
            f"no video {clip_id}.mp4 in the folder"
            + (f"; not read by its suffix: {', '.join(near)}" if near else ""),
            folder,
        )
    return found[0]
