"""FFmpeg's filters on single frames, among them HDR to SDR."""

import threading
from collections import OrderedDict
from collections.abc import Iterable

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

Steps = tuple[tuple[str, str], ...]  # names of filters and their options

HDR = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
# Reference white (203 cd/m2, ITU-R BT.2408) becomes white, what is brighter is clipped,
# colours keep their place (FFmpeg's relative colorimetric intent). Data of the mastering
# screen, which H.264 has on key frames alone, would have the table computed anew.
TO_SDR: Steps = (
    ("sidedata", "mode=delete"),
    ("scale", "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:out_range=tv"),
    ("format", "yuv420p"),
)
UNSPECIFIED = 2  # matrix, primaries and transfer; numbers are those of ITU-T H.273
MATRICES = {*range(18)} - {3}  # all but reserved ones
KEPT = 8  # graphs to SDR of each thread
_per_thread = threading.local()


def hdr_of(frame: av.VideoFrame) -> str | None:
    """``PQ``, ``HLG`` or ``None``."""
    return HDR.get(frame.color_trc)


def kind_of(frame: av.VideoFrame) -> tuple:
    """What a graph is made for: frames of another kind need another one, and so do those
    that another thread reads.
    """
    pixels = frame.width, frame.height, frame.format.name, frame.interlaced_frame
    hdr = hdr_of(frame)
    colours = frame.colorspace, frame.color_range, hdr, hdr and frame.color_primaries
    return *pixels, *colours, threading.get_ident()


def complete_tags(frame: av.VideoFrame) -> None:
    """Fill in what an HDR frame does not say: ITU-R BT.2100 has one set of primaries and
    one usual matrix.
    """
    if frame.color_primaries == UNSPECIFIED:
        frame.color_primaries = ColorPrimaries.BT2020
    if frame.colorspace == UNSPECIFIED:
        frame.colorspace = Colorspace.BT2020


def filter_graph(frame: av.VideoFrame, steps: Iterable[tuple[str, str]], threads: int = 0) -> av.filter.Graph:
    """Filters for frames like this one. (PyAV's ``add_buffer`` leaves out matrix and
    range, whereupon ``scale`` converts to BT.601.)
    """
    matrix = frame.colorspace if frame.colorspace in MATRICES else UNSPECIFIED
    known_range = frame.color_range in (ColorRange.MPEG, ColorRange.JPEG)
    source = {
        "video_size": f"{frame.width}x{frame.height}",
        "pix_fmt": frame.format.name,
        "time_base": f"{frame.time_base.numerator}/{frame.time_base.denominator}",
        "colorspace": int(matrix),
        "range": int(frame.color_range) if known_range else 0,
    }
    graph = av.filter.Graph()
    graph.threads = threads
    options = ":".join(f"{key}={value}" for key, value in source.items())
    filters = [graph.add(name, option) for name, option in (("buffer", options), *steps)]
    graph.link_nodes(*filters, graph.add("buffersink")).configure()
    return graph


def graph_to_sdr(frame: av.VideoFrame, steps: Steps) -> av.filter.Graph:
    """Filters for HDR frames like this one, kept in their thread for the next file: with
    the first frame FFmpeg computes a table of colours, which takes seconds.
    """
    kept = _per_thread.__dict__.setdefault("graphs", OrderedDict())
    key = *kind_of(frame), steps
    if key not in kept:
        in_colour = (("format", "yuv420p10le"),) if frame.format.name.startswith("gray") else ()
        # threads of its own would be missing in a process that is forked
        kept[key] = filter_graph(frame, (*steps, *in_colour, *TO_SDR), threads=1)
    kept.move_to_end(key)
    while len(kept) > KEPT:
        kept.popitem(last=False)
    return kept[key]


def filtered(graph: av.filter.Graph, frame: av.VideoFrame) -> av.VideoFrame:
    """The frame behind the filters."""
    try:
        graph.vpush(frame)
        return graph.vpull()
    except BaseException:
        # a frame left in a kept graph would come out in the place of the next one
        _per_thread.__dict__.pop("graphs", None)
        raise


def tags_of(frame: av.VideoFrame) -> str:
    """What a frame says of its colours, by the numbers of ITU-T H.273."""
    numbers = int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)
    return "matrix {}, primaries {}, transfer {}".format(*numbers)
