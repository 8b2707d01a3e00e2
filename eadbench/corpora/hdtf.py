"""HDTF: lists of web videos with times and face crops; the videos are fetched with
yt-dlp, video and audio.
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
from eadbench.corpora.origin import FetchedFile, Origin
from eadbench.media.files import VIDEO, Found, walk
from eadbench.media.video import probe

log = logging.getLogger(__name__)
# Messages of a video site about a video that is gone for good, unless LATER matches too:
# YouTube's limit of requests reads "Video unavailable. This content isn't available, try
# again later", and a blocked video can be fetched from another country or with cookies.
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


def is_gone(reason: str) -> bool:
    """Whether a video that failed for this reason is not worth asking for again."""
    return bool(GONE.search(reason)) and not LATER.search(reason)


def fetch(origin: Origin, raw: Path, config: HdtfCorpus) -> tuple[Path, list[FetchedFile]]:
    """Fetch the lists, then every video once; the result of each is written to
    ``videos/{id}.json``, so that a later call only tries the rest.

    Raises:
        EadbenchError: If the lists cannot be downloaded, or there is no JavaScript
            runtime for YouTube's videos.
    """
    _fetch_lists(origin, raw / "lists", config)
    videos = {video.key: video for video in _videos(raw / "lists", config) if video.key}
    states = {key: _saved_state(raw, key) for key in sorted(videos)}
    missing_keys = {
        key
        for key, state in states.items()
        if state is None or (state["status"] == FAILED and not is_gone(state["reason"]))
    }
    if not origin.address and any("youtu" in videos[key].url for key in missing_keys):
        check_javascript()
    files = []
    for key, state in track(states.items(), "fetch videos", total=len(states), unit="video"):
        video = videos[key]
        if key in missing_keys:
            state = _fetch_video(origin, raw, key, video, config)
            write_text(raw / "videos" / f"{key}.json", json.dumps(state, indent=1) + "\n")
            if not origin.address:
                time.sleep(config.pause)
        size = None
        if state["status"] == KEPT:
            names = [name for name in (state["video"], state["audio"]) if name]
            size = sum((raw / "videos" / name).stat().st_size for name in names)
        files.append(FetchedFile(video.name, video.url, state["status"], state["reason"], size))
    return raw, files


def check_javascript() -> None:
    """Check for what yt-dlp needs for YouTube's videos since 2025.11: a JavaScript
    runtime, of which it enables deno alone, and the scripts that it runs there. Without
    them it asks one client of several, finds few formats or none, and only warns.

    Raises:
        EadbenchError: If one of them is not installed.
    """
    from yt_dlp.globals import supported_js_runtimes

    deno = supported_js_runtimes.value["deno"]().info
    if deno is None or not deno.supported:
        runtime = "no JavaScript runtime" if deno is None else f"deno {deno.version}, which is too old"
        hint = "install deno 2.3 or later: it is in envs/media.yaml (conda-forge); else `pip install deno`"
        raise EadbenchError(
            f"YouTube's videos need a JavaScript runtime, and yt-dlp finds {runtime}", "corpora fetch", hint
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
                url = origin.url(origin.find(file)) if origin.address else config.lists + file
            except FileNotFoundError:
                log.info("the studio made no %s", file)
                continue
            if origin.address or not (folder / file).exists():
                download(url, folder / file, tries=config.tries, direct=bool(origin.address))


def _videos(folder: Path, config: HdtfCorpus) -> list[Video]:
    videos = [video for group in config.groups for video in read_lists(folder, group)]
    return [video for video in videos if not config.videos or video.name in config.videos]


def _saved_state(raw: Path, key: str) -> dict[str, Any] | None:
    """What an earlier call wrote about a video; ``None`` if its files are gone since."""
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
    """Format selector for yt-dlp: the best video and the best audio as two files where
    the site has them apart, so that no ffmpeg is needed to merge them; else the best
    file with both. (``bv,ba`` in yt-dlp's own language would take the video alone where
    there is no separate audio.)

    Args:
        context: yt-dlp's; ``formats`` go from worst to best.
        max_height: Formats that are higher are taken only if there are no others.
    """
    formats = context["formats"]

    def has(stream: str, format_: dict[str, Any]) -> bool:
        return format_.get(stream) not in (None, "none")

    def within(candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
        low = [format_ for format_ in candidates if (format_.get("height") or 0) <= max_height]
        return low or candidates

    without_audio = [format_ for format_ in formats if format_.get("acodec") == "none"]
    without_video = [format_ for format_ in formats if format_.get("vcodec") == "none"]
    videos = within([format_ for format_ in without_audio if has("vcodec", format_)])
    audios = [format_ for format_ in without_video if has("acodec", format_)]
    if videos and audios:
        return [_best(videos, "mp4"), _best(audios, "m4a")]
    # a codec may be unknown (None); only "none" says that there is no such stream
    both = within(
        [format_ for format_ in formats if "none" not in (format_.get("vcodec"), format_.get("acodec"))]
    )
    return [(both or formats)[-1]]


def _best(formats: list[dict[str, Any]], extension: str) -> dict[str, Any]:
    preferred = [format_ for format_ in formats if format_.get("ext") == extension]
    return (preferred or formats)[-1]


def options(raw: Path, key: str, config: HdtfCorpus) -> dict[str, Any]:
    """Options of yt-dlp for one video."""
    ydl_options: dict[str, Any] = {
        "format": lambda context: choose_formats(context, config.max_height),
        "outtmpl": {"default": f"{raw / 'videos' / key}.%(format_id)s.%(ext)s"},
        "continuedl": True,
        "retries": config.tries,
        "fragment_retries": config.tries,
        "extractor_retries": config.tries,
        "concurrent_fragment_downloads": 1,  # to be polite to the site
        "noplaylist": True,
        "quiet": True,
        "noprogress": True,
        "no_warnings": True,
        "cachedir": False,
        "updatetime": False,
        "fixup": "never",
    }
    if config.rate_limit:
        ydl_options["ratelimit"] = config.rate_limit
    if config.cookies:
        ydl_options["cookiefile"] = config.cookies
    return ydl_options


def _fetch_video(origin: Origin, raw: Path, key: str, video: Video, config: HdtfCorpus) -> dict[str, Any]:
    import yt_dlp

    logger = _Logger()
    ydl_options = options(raw, key, config) | {"logger": logger}
    if origin.address:
        ydl_options["proxy"] = ""
    url = f"{origin.address}videos/{key}.mp4" if origin.address else video.url
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
        with yt_dlp.YoutubeDL(ydl_options) as downloader:
            info = downloader.extract_info(url)
        paths = [Path(part["filepath"]) for part in (info or {}).get("requested_downloads", [])]
        return state | {"status": KEPT} | _video_and_audio(paths)
    except (yt_dlp.utils.YoutubeDLError, EadbenchError, OSError) as error:
        reason = logger.reason or getattr(error, "what", str(error))
        if disk_is_full(error, raw):
            raise full_disk(raw / "videos") from error
        return state | {"reason": f"not fetched: {reason}", "gone": is_gone(reason)}


def _video_and_audio(paths: list[Path]) -> dict[str, str | None]:
    """Names of the fetched video file, and of the audio file where that is separate.

    Whether the video can be decoded is not checked here but by ``corpora index``.
    """
    if not paths:
        raise EadbenchError("the site gave no file")
    if len(paths) == 1:
        return {"video": paths[0].name, "audio": None}
    videos = [path for path in paths if probe(path).width is not None]
    others = [path for path in paths if path not in videos]
    if not videos:
        raise EadbenchError("the site gave audio only")
    return {"video": videos[0].name, "audio": others[0].name if others else None}


def recordings(root: Path, config: HdtfCorpus) -> list[dict[str, Any]]:
    """Rows of the index, without what probing adds: one per annotated stretch, and one
    per video that has none.

    Mirrors of the corpus hold ready videos, one per stretch and named after it
    (``WDA_TinaSmith_000.mp4``), as files or in a zip. One below ``root`` is taken where
    the original is not there: whole, and without the lists' crop. Ready videos need no
    lists.

    Raises:
        EadbenchError: If there are neither lists nor ready videos below ``root``.
    """
    files = list(walk(root)) if root.is_dir() else []
    lists = [file.path for file in files if file.name.endswith("_video_url.txt")]
    ready = dict(_ready_rows(files, config))
    if not lists and not ready:
        hint = (
            "run `corpora fetch`, or put them into the folder; or ready videos named as WDA_TinaSmith_000.mp4"
        )
        raise EadbenchError("HDTF's lists (RD_video_url.txt, ...) are not there", root, hint)
    usable = [file for file in files if file.suffix in VIDEO and not file.problem]
    # reversed: of several files of one name the first counts
    files_by_stem = {PurePosixPath(file.stem).name: file.path for file in reversed(usable)}
    rows = []
    for video in _videos(lists[0].parent, config) if lists else []:
        for row in _rows(root, video, files_by_stem):
            if "problem" in row:
                row |= ready.get(row["recording_id"], {})
            rows.append(row)
    listed_ids = {row["recording_id"] for row in rows}
    return rows + [row for recording_id, row in sorted(ready.items()) if recording_id not in listed_ids]


def _ready_rows(files: list[Found], config: HdtfCorpus) -> Iterator[tuple[str, dict[str, Any]]]:
    """Recording id and row of the ready videos, which are files or members of zips."""
    for file in files:
        if file.problem:
            continue
        if file.suffix in VIDEO:
            yield from _ready_row(PurePosixPath(file.stem).name, file.path, None, config)
        elif file.suffix == ".zip":
            for name, member in members(file.path).items():
                path = PurePosixPath(name)
                if path.suffix.lower() in VIDEO and not member.refused:
                    yield from _ready_row(path.stem, file.path, name, config)


def _ready_row(
    stem: str, path: Path, member: str | None, config: HdtfCorpus
) -> Iterator[tuple[str, dict[str, Any]]]:
    match = READY.fullmatch(stem)
    if match is None or match["group"] not in config.groups:
        return
    if config.videos and match["name"] not in config.videos:
        return
    row = {
        "recording_id": stem,
        "speaker": Video(match["name"], match["group"]).speaker,
        "video_key": match["name"],
        "source": path,
    }
    yield stem, row | {"member": member, "audio_source": None, "start": None, "end": None, "problem": ""}


def _rows(root: Path, video: Video, files_by_stem: dict[str, Path]) -> list[dict[str, Any]]:
    common: dict[str, Any] = {"speaker": video.speaker, "video_key": video.key or video.name, "source": None}
    source, audio, problem = _source_files(root, video, files_by_stem)
    common |= {"source": source, "audio_source": audio}
    if not video.stretches:
        untimed = "untimed: the lists have no times for this video"
        return [common | {"recording_id": f"{video.group}_{video.name}_none", "problem": untimed}]
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
            message = "%s: no usable crop in the lists, the face is looked for in the whole frame"
            log.info(message, row["recording_id"])
        if end <= start:
            row["problem"] = f"untimed: {'; '.join(video.problems)}"
        elif problem:
            row["problem"] = problem
        rows.append(row)
    return rows


def _source_files(
    root: Path, video: Video, files_by_stem: dict[str, Path]
) -> tuple[Path | None, Path | None, str]:
    """The video file, the separate audio file if there is one, and why there is none.

    They are those fetched, else any file below ``root`` that is named after the video's
    id or its name (in a folder of the user's).
    """
    if video.key is None:
        return None, None, f"no address: {'; '.join(video.problems) or 'the lists have none'}"
    state = _saved_state(root, video.key)
    if state is not None:
        if state["status"] == FAILED:
            return None, None, state["reason"]
        folder = root / "videos"
        return folder / state["video"], folder / state["audio"] if state["audio"] else None, ""
    for stem in (video.key, video.name):
        if stem in files_by_stem:
            return files_by_stem[stem], None, ""
    return None, None, "not fetched: no file of this video is here"
