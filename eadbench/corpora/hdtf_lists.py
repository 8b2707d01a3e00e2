"""HDTF's lists as they are: names with and without ``.mp4``, a BOM, ``&t=``, crops as
``x w y h``, stretches without a crop, heights of zero.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlparse

# "annotion" is the lists' own spelling
LISTS = ("video_url", "annotion_time", "resolution", "crop_wh", "crop_ratio")
STRETCH = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)-(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")


@dataclass
class Video:
    """One video of the lists.

    Attributes:
        name: As in the lists, without ``.mp4``.
        group: ``RD``, ``WDA`` or ``WRA``.
        url, key: Its address, and the ``v`` parameter of it, which tells videos apart;
            ``None`` where the lists have none.
        height: Listed height; ``None`` or 0 where unknown.
        stretches: Annotated times in seconds.
        crops: Per stretch ``(x, y, w, h)`` at the listed height, or ``None``.
        problems: What is wrong with its lines.
    """

    name: str
    group: str
    url: str | None = None
    key: str | None = None
    height: int | None = None
    stretches: list[tuple[float, float]] = field(default_factory=list)
    crops: list[tuple[int, int, int, int] | None] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def speaker(self) -> str:
        """The name without its number: ``ByronDorgan0`` and ``ByronDorgan1`` are one
        person, and so, to be careful, are all ``Radio*``.
        """
        return re.sub(r"\d+$", "", self.name) or self.name


def read_lists(folder: Path, group: str) -> list[Video]:
    """All videos of a group that any list names, in order of their names."""
    lines = {name: _lines(folder / f"{group}_{name}.txt") for name in LISTS}
    videos: dict[str, Video] = {}

    def video_of(name: str) -> Video:
        name = name.removesuffix(".mp4")
        return videos.setdefault(name, Video(name, group))

    for name, *urls in lines["video_url"]:
        video = video_of(name)
        video.url = urls[0] if urls else None
        video.key = _key(video.url)
        if video.key is None:
            video.problems.append(f"address {video.url!r} has no video id")
    for name, *times in lines["annotion_time"]:
        video = video_of(name)
        for text in times:
            stretch = _stretch(text)
            if stretch is None:
                video.problems.append(f"time {text!r} cannot be read")
            video.stretches.append(stretch or (0.0, 0.0))
    for name, *heights in lines["resolution"]:
        is_number = bool(heights) and heights[0].isdigit()
        video_of(name).height = int(heights[0]) if is_number else None
    crops = {name.removesuffix(".mp4"): numbers for name, *numbers in lines["crop_wh"]}
    for video in videos.values():
        video.crops = [_crop(crops.get(f"{video.name}_{k}")) for k in range(len(video.stretches))]
    return [videos[name] for name in sorted(videos)]


def _lines(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.split() for line in lines if line.strip()]


def _key(url: str | None) -> str | None:
    keys = parse_qs(urlparse(url or "").query).get("v")
    return keys[0] if keys and re.fullmatch(r"[\w-]+", keys[0]) else None


def _stretch(text: str) -> tuple[float, float] | None:
    match = STRETCH.fullmatch(text)
    if not match:
        return None
    h0, m0, s0, h1, m1, s1 = (float(part or 0) for part in match.groups())
    start, end = 3600 * h0 + 60 * m0 + s0, 3600 * h1 + 60 * m1 + s1
    return (start, end) if end > start else None


def _crop(numbers: list[str] | None) -> tuple[int, int, int, int] | None:
    if numbers is None or len(numbers) != 4 or not all(number.isdigit() for number in numbers):
        return None
    x, w, y, h = map(int, numbers)
    return (x, y, w, h) if w > 0 and h > 0 else None


def scaled_crop(
    crop: tuple[int, int, int, int], listed_height: int | None, width: int, height: int
) -> tuple[int, int, int, int] | None:
    """A listed crop at the height really obtained; ``None`` where the listed height is
    unknown or wrong, since the crop does not fit then.
    """
    if not listed_height:
        return None
    scale = height / listed_height
    x, y, w, h = (round(value * scale) for value in crop)
    starts_inside = x < width and y < height
    fits = x + w <= width + 2 and y + h <= height + 2
    return (x, y, min(w, width - x), min(h, height - y)) if starts_inside and fits else None
