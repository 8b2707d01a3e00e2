"""HDTF: lists of web videos with times and face crops; the videos are fetched with
yt-dlp, picture and sound.
"""

import importlib.util
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from eadbench.core.download import download
from eadbench.core.errors import EadbenchError, reason_of
from eadbench.core.files import disk_is_full, full_disk, write_text
from eadbench.core.progress import track
from eadbench.core.tables import FAILED, KEPT
from eadbench.corpora.archives import members
from eadbench.corpora.config import HdtfCorpus
from eadbench.corpora.hdtf_lists import LISTS, Video, read_lists, scaled_crop
from eadbench.corpora.origin import Fetched, Origin
from eadbench.media.files import VIDEO, Found, walk
from eadbench.media.video import probe

log = logging.getLogger(__name__)
# What a video site says of a video that will not come back, unless it says one of the
# second, too: YouTube's limit of requests reads "Video unavailable. This content isn't
# available, try again later", and elsewhere, or with cookies, a blocked video can be
# had.
GONE = re.compile(
    r"video (is )?(unavailable|private)|private video|removed|terminated|no longer "
    r"available|copyright|HTTP Error 4(04|10)",
    re.IGNORECASE,
)
LATER = re.compile(
    r"try again|rate.?limit|your (country|region|location)|geo.?restrict|sign in to "
    r"confirm|captcha|temporar|HTTP Error (4[02]9|5)",
    re.IGNORECASE,
)
READY = re.compile(r"(?P<group>RD|WDA|WRA)_(?P<name>.+)_\d{3}")
LEAST_PARTS = 1  # no parallel fragments: be polite


def is_gone(reason: str) -> bool:
    """Whether a video that failed for this reason is not worth asking for again."""
    return bool(GONE.search(reason)) and not LATER.search(reason)


def fetch(origin: Origin, raw: Path, config: HdtfCorpus) -> tuple[Path, list[Fetched]]:
    """Fetch the lists, then every video once; what became of each is remembered in
    ``videos/{id}.json``, so that a later call only tries the rest.

    Raises:
        EadbenchError: If the lists cannot be had, or YouTube's videos not, for want of
            a JavaScript runtime.
    """
    _fetch_lists(origin, raw / "lists", config)
    videos = {video.key: video for video in _videos(raw / "lists", config) if video.key}
    states = {key: _state(raw, key) for key in sorted(videos)}
    wanted = {
        key
        for key, state in states.items()
        if state is None or (state["status"] == FAILED and not is_gone(state["reason"]))
    }
    if not origin.served and any("youtu" in videos[key].url for key in wanted):
        check_javascript()
    done = []
    for key, state in track(states.items(), "fetch videos", total=len(states), unit="video"):
        video = videos[key]
        if key in wanted:
            state = _fetch_video(origin, raw, key, video, config)
            write_text(raw / "videos" / f"{key}.json", json.dumps(state, indent=1) + "\n")
            if not origin.served:
                time.sleep(config.pause)
        size = (
            sum((raw / "videos" / name).stat().st_size for name in (state["video"], state["audio"]) if name)
            if state["status"] == KEPT
            else None
        )
        done.append(Fetched(video.name, video.url, state["status"], state["reason"], size))
    return raw, done


def check_javascript() -> None:
    """Look for what yt-dlp needs for YouTube's videos since 2025.11: a JavaScript
    runtime, of which it enables deno alone, and the scripts that it runs there. Without
    them it asks one client of several, finds few formats or none, and says so in a
    warning only.

    Raises:
        EadbenchError: If one of them is not there.
    """
    from yt_dlp.globals import supported_js_runtimes

    found = supported_js_runtimes.value["deno"]().info
    what = (
        "no JavaScript runtime"
        if found is None
        else f"deno {found.version}, which is too old"
        if not found.supported
        else ""
    )
    if what:
        hint = "install deno 2.3 or later: it is in envs/media.yaml (conda-forge); else `pip install deno`"
        raise EadbenchError(
            f"YouTube's videos need a JavaScript runtime, and yt-dlp finds {what}", "corpora fetch", hint
        )
    if importlib.util.find_spec("yt_dlp_ejs") is None:
        raise EadbenchError(
            "yt-dlp's scripts for YouTube, yt-dlp-ejs, are not there",
            "corpora fetch",
            "pip install 'yt-dlp[default]'",
        )


def _fetch_lists(origin: Origin, folder: Path, config: HdtfCorpus) -> None:
    for group in config.groups:
        for name in LISTS:
            file = f"{group}_{name}.txt"
            try:
                url = origin.url(origin.find(file)) if origin.served else config.lists + file
            except FileNotFoundError:
                log.info("the studio made no %s", file)
                continue
            if origin.served or not (folder / file).exists():
                download(url, folder / file, tries=config.tries, direct=bool(origin.served))


def _videos(folder: Path, config: HdtfCorpus) -> list[Video]:
    videos = [video for group in config.groups for video in read_lists(folder, group)]
    return [video for video in videos if not config.videos or video.name in config.videos]


def _state(raw: Path, key: str) -> dict[str, Any] | None:
    """What an earlier call noted of a video, unless its files have gone since."""
    try:
        state = json.loads((raw / "videos" / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    names = [name for name in (state["video"], state["audio"]) if name]
    return state if all((raw / "videos" / name).exists() for name in names) else None


class _Logger:
    """yt-dlp's messages go to the log; the last error is the reason."""

    def __init__(self) -> None:
        self.reason = ""

    def debug(self, text: str) -> None:
        log.debug("%s", text)

    def info(self, text: str) -> None:
        log.debug("%s", text)

    def warning(self, text: str) -> None:
        log.debug("%s", text)

    def error(self, text: str) -> None:
        self.reason = re.sub(r"\x1b\[[0-9;]*m", "", text).removeprefix("ERROR: ").strip()


def choose_formats(context: dict[str, Any], max_height: int) -> list[dict[str, Any]]:
    """Format selector for yt-dlp: the best picture and the best sound as two files
    where the site has them apart, so that no ffmpeg is needed to merge them; else the
    best file with both. (``bv,ba`` in yt-dlp's own language would take the picture
    alone where there is no sound apart.)

    Args:
        context: yt-dlp's; ``formats`` go from worst to best.
        max_height: Formats that are higher are taken only if there are no others.
    """
    formats = context["formats"]

    def within(some: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one for one in some if (one.get("height") or 0) <= max_height] or some

    pictures = within(
        [one for one in formats if one.get("vcodec") not in (None, "none") and one.get("acodec") == "none"]
    )
    sounds = [
        one for one in formats if one.get("acodec") not in (None, "none") and one.get("vcodec") == "none"
    ]
    if pictures and sounds:
        return [_best(pictures, "mp4"), _best(sounds, "m4a")]
    both = within([one for one in formats if "none" not in (one.get("vcodec"), one.get("acodec"))])
    return [(both or formats)[-1]]


def _best(formats: list[dict[str, Any]], extension: str) -> dict[str, Any]:
    return ([one for one in formats if one.get("ext") == extension] or formats)[-1]


def options(raw: Path, key: str, config: HdtfCorpus) -> dict[str, Any]:
    """Options of yt-dlp for one video."""
    chosen: dict[str, Any] = {
        "format": lambda context: choose_formats(context, config.max_height),
        "outtmpl": {"default": f"{raw / 'videos' / key}.%(format_id)s.%(ext)s"},
        "continuedl": True,
        "retries": config.tries,
        "fragment_retries": config.tries,
        "extractor_retries": config.tries,
        "concurrent_fragment_downloads": LEAST_PARTS,
        "noplaylist": True,
        "quiet": True,
        "noprogress": True,
        "no_warnings": True,
        "cachedir": False,
        "updatetime": False,
        "fixup": "never",
    }
    if config.rate_limit:
        chosen["ratelimit"] = config.rate_limit
    if config.cookies:
        chosen["cookiefile"] = config.cookies
    return chosen


def _fetch_video(origin: Origin, raw: Path, key: str, video: Video, config: HdtfCorpus) -> dict[str, Any]:
    import yt_dlp

    logger = _Logger()
    chosen = options(raw, key, config) | {"logger": logger}
    if origin.served:
        chosen["proxy"] = ""
    url = f"{origin.served}videos/{key}.mp4" if origin.served else video.url
    (raw / "videos").mkdir(parents=True, exist_ok=True)
    state = {
        "name": video.name,
        "url": video.url,
        "status": FAILED,
        "reason": "",
        "gone": False,
        "video": None,
        "audio": None,
    }
    try:
        with yt_dlp.YoutubeDL(chosen) as downloader:
            info = downloader.extract_info(url)
        paths = [Path(part["filepath"]) for part in (info or {}).get("requested_downloads", [])]
        return state | {"status": KEPT} | _sort_out(paths)
    except (yt_dlp.utils.YoutubeDLError, EadbenchError, OSError) as error:
        reason = logger.reason or getattr(error, "what", str(error))
        if disk_is_full(error, raw):
            raise full_disk(raw / "videos") from error
        return state | {"reason": f"not fetched: {reason}", "gone": is_gone(reason)}


def _sort_out(paths: list[Path]) -> dict[str, str | None]:
    """Which of the files fetched has the picture, and which the sound where that is
    apart.

    Whether the picture can be decoded is for the index to find out: a damaged video is
    fetched, too.
    """
    if not paths:
        raise EadbenchError("the site gave no file")
    if len(paths) == 1:
        return {"video": paths[0].name, "audio": None}
    with_picture = [path for path in paths if probe(path).width is not None]
    others = [path for path in paths if path not in with_picture]
    if not with_picture:
        raise EadbenchError("the site gave sound only")
    return {"video": with_picture[0].name, "audio": others[0].name if others else None}


def recordings(root: Path, config: HdtfCorpus) -> list[dict[str, Any]]:
    """Rows of the index, without what probing adds: one per annotated stretch, and one
    per video that has none.

    A stretch that lies below ``root`` as a ready video named after it
    (``WDA_TinaSmith_000.mp4``), or in a zip there, as mirrors of the corpus have them,
    is taken as it is where its original is not there: whole, and without the lists'
    crop. Ready videos need no lists.

    Raises:
        EadbenchError: If there are neither lists nor ready videos below ``root``.
    """
    found = list(walk(root)) if root.is_dir() else []
    lists = [one.path for one in found if one.name.endswith("_video_url.txt")]
    ready = dict(_ready(found, config))
    if not lists and not ready:
        hint = (
            "run `corpora fetch`, or put them into the folder; or ready videos named as WDA_TinaSmith_000.mp4"
        )
        raise EadbenchError("HDTF's lists (RD_video_url.txt, ...) are not there", root, hint)
    own = {
        PurePosixPath(one.stem).name: one.path
        for one in reversed(found)
        if one.suffix in VIDEO and not one.problem
    }
    rows = []
    for video in _videos(lists[0].parent, config) if lists else []:
        rows += [
            row if "problem" not in row else row | ready.get(row["recording_id"], {})
            for row in _rows(root, video, own)
        ]
    listed = {row["recording_id"] for row in rows}
    return rows + [row for recording, row in sorted(ready.items()) if recording not in listed]


def _ready(found: list[Found], config: HdtfCorpus) -> Iterator[tuple[str, dict[str, Any]]]:
    """Recording -> its row, for ready videos and members of zips that are named after a
    stretch.
    """
    for one in found:
        if one.suffix in VIDEO and not one.problem:
            yield from _ready_row(PurePosixPath(one.stem).name, one.path, None, config)
        elif one.suffix == ".zip" and not one.problem:
            for name, member in members(one.path).items():
                path = PurePosixPath(name)
                if path.suffix.lower() in VIDEO and not member.refused:
                    yield from _ready_row(path.stem, one.path, name, config)


def _ready_row(
    stem: str, path: Path, member: str | None, config: HdtfCorpus
) -> Iterator[tuple[str, dict[str, Any]]]:
    match = READY.fullmatch(stem)
    if (
        match is None
        or match["group"] not in config.groups
        or (config.videos and match["name"] not in config.videos)
    ):
        return
    row = {
        "recording_id": stem,
        "speaker": Video(match["name"], match["group"]).speaker,
        "video_key": match["name"],
        "source": path,
    }
    yield stem, row | {"member": member, "audio_source": None, "start": None, "end": None, "problem": ""}


def _rows(root: Path, video: Video, own: dict[str, Path]) -> list[dict[str, Any]]:
    common: dict[str, Any] = {"speaker": video.speaker, "video_key": video.key or video.name, "source": None}
    source, sound, problem = _place(root, video, own)
    common |= {"source": source, "audio_source": sound}
    if not video.stretches:
        return [
            common
            | {
                "recording_id": f"{video.group}_{video.name}_none",
                "problem": "untimed: the lists have no times for this video",
            }
        ]
    size = None
    if not problem:
        try:
            info = probe(source)
            size = (info.width, info.height) if info.width else None
        except Exception as error:
            problem = f"unreadable: {reason_of(error, source)}"
    rows = []
    for k, ((start, end), crop) in enumerate(zip(video.stretches, video.crops, strict=True)):
        row = common | {"recording_id": f"{video.group}_{video.name}_{k:03d}", "start": start, "end": end}
        if crop and size and (fitted := scaled_crop(crop, video.height, *size)):
            row |= dict(zip(("crop_x", "crop_y", "crop_w", "crop_h"), fitted, strict=True))
        elif size:
            log.info(
                "%s: no usable crop in the lists, the face is looked for in the whole frame",
                row["recording_id"],
            )
        if end <= start:
            row["problem"] = f"untimed: {'; '.join(video.problems)}"
        elif problem:
            row["problem"] = problem
        rows.append(row)
    return rows


def _place(root: Path, video: Video, own: dict[str, Path]) -> tuple[Path | None, Path | None, str]:
    """Files of a video and what is wrong: as fetched, else any file below ``root``
    named after its id or its name (a folder of the user's).
    """
    if video.key is None:
        return None, None, f"no address: {'; '.join(video.problems) or 'the lists have none'}"
    state = _state(root, video.key)
    if state is not None:
        if state["status"] == FAILED:
            return None, None, state["reason"]
        return (
            root / "videos" / state["video"],
            root / "videos" / state["audio"] if state["audio"] else None,
            "",
        )
    for stem in (video.key, video.name):
        if stem in own:
            return own[stem], None, ""
    return None, None, "not fetched: no file of this video is here"
