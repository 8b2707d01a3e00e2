"""Recordings in HDR, such as phones make, against the formulas of ITU-R BT.2100."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from eadbench.core.errors import EadbenchError
from eadbench.media import filters
from eadbench.media.video import DecodedFrame, iter_decoded_frames, iter_frames, probe

SKIN, GREEN, BLUE, GREY, WHITE, BLACK = COLOURS = [
    (200, 120, 90), (60, 140, 60), (40, 60, 160), (128, 128, 128), (255, 255, 255), (0, 0, 0),
]  # fmt: skip
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087
LUMA = np.array([0.2627, 0.6780, 0.0593])
REFERENCE_WHITE = 203  # cd/m2, BT.2408


def pq(light: np.ndarray) -> np.ndarray:
    """Signal of light in cd/m2."""
    y = (light / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def hlg(light: np.ndarray) -> np.ndarray:
    """The same of a screen of 1000 cd/m2: system gamma 1.2."""
    light = light / 1000
    scene = light * np.maximum(light @ LUMA, 1e-9)[:, None] ** (1 / 1.2 - 1)
    logarithm = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithm)


def write_hdr(
    path: Path,
    transfer: ColorTrc,
    colours: np.ndarray,
    brightness: float = 1.0,
    tags: tuple[int, int] = (ColorPrimaries.BT2020, Colorspace.BT2020),
    x264: str = "",
) -> None:
    """Five frames, a field of 64 x 64 for each colour; ``brightness`` 1 has white at the
    reference white.
    """
    light = REFERENCE_WHITE * brightness * (colours / 255) ** 2.4 @ TO_2020.T
    signal = {ColorTrc.SMPTE2084: pq, ColorTrc.ARIB_STD_B67: hlg}[transfer](light)
    luma = signal @ LUMA
    chroma = (signal[:, 2] - luma) / 1.8814, (signal[:, 0] - luma) / 1.4746
    planes = [(64 + 876 * luma, 64), *((512 + 896 * values, 32) for values in chroma)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "x264-params": x264})
        stream.width, stream.height, stream.pix_fmt = 64 * len(colours), 64, "yuv420p10le"
        for number in range(5):
            frame = av.VideoFrame(stream.width, 64, "yuv420p10le")
            for plane, (values, side) in zip(frame.planes, planes, strict=True):
                image = np.zeros((side, plane.line_size // 2), "<u2")
                image[:, : side * len(colours)] = np.round(values).astype("<u2").repeat(side)
                plane.update(image.tobytes())
            for what in (stream.codec_context, frame):
                what.color_trc, what.color_range = transfer, ColorRange.MPEG
                what.color_primaries, what.colorspace = tags
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("transfer", [ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67], ids=["pq", "hlg"])
def test_hdr_is_read_with_the_colours_of_its_sdr_form(transfer: ColorTrc, tmp_path: Path) -> None:
    write_hdr(tmp_path / "phone.mp4", transfer, np.array(COLOURS))
    notes: list[str] = []
    frames = list(iter_decoded_frames(tmp_path / "phone.mp4", notes=notes))
    assert len(frames) == 5
    for frame in frames[::4]:
        shown = frame.rgb()[32, 32::64].astype(int)
        assert np.abs(shown - COLOURS).max() <= 5, shown
        assert np.abs(frame.region(64, 0, 128, 64)[32, 32].astype(int) - GREEN).max() <= 5
    name = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}[transfer]
    assert [note for note in notes if "HDR" in note] == [
        f"HDR ({name}): brought to SDR, what is brighter than white is clipped"
    ]


def test_what_is_brighter_than_white_is_white_and_keeps_no_colour_of_overflow(tmp_path: Path) -> None:
    write_hdr(tmp_path / "lamp.mp4", ColorTrc.ARIB_STD_B67, np.array([GREY, WHITE]), brightness=3.0)
    (_, first), *_ = iter_frames(tmp_path / "lamp.mp4")
    grey = round(255 * ((128 / 255) ** 2.4 * 3) ** (1 / 2.4))
    assert np.abs(first[32, 32].astype(int) - grey).max() <= 5
    assert first[32, 96].min() >= 250


def test_files_of_both_kinds_in_turn_keep_their_own_colours(tmp_path: Path) -> None:
    kinds = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
    for kind in kinds:
        write_hdr(tmp_path / f"{kind.name}.mp4", kind, np.array(COLOURS))
    readers = [iter_frames(tmp_path / f"{kind.name}.mp4") for kind in kinds]
    for both in zip(*readers, strict=True):
        for _, image in both:
            assert np.abs(image[32, 32::64].astype(int) - COLOURS).max() <= 5


def test_the_header_tells_of_it_and_its_size(tmp_path: Path) -> None:
    write_hdr(tmp_path / "phone.mp4", ColorTrc.ARIB_STD_B67, np.array([SKIN, BLUE, BLACK]))
    notes: list[str] = []
    info = probe(tmp_path / "phone.mp4", notes)
    assert (info.width, info.height) == (192, 64)
    assert any("HLG" in note for note in notes)


@pytest.mark.parametrize("tags", [(2, 9), (9, 2), (2, 2)], ids=["primaries", "matrix", "both"])
def test_what_the_tags_leave_out_is_bt2020(tags: tuple[int, int], tmp_path: Path) -> None:
    write_hdr(tmp_path / "bare.mp4", ColorTrc.SMPTE2084, np.array(COLOURS), tags=tags)
    (_, first), *_ = iter_frames(tmp_path / "bare.mp4")
    assert np.abs(first[32, 32::64].astype(int) - COLOURS).max() <= 5


def test_a_matrix_that_cannot_be_converted_is_named(tmp_path: Path) -> None:
    write_hdr(tmp_path / "ictcp.mp4", ColorTrc.ARIB_STD_B67, np.array([GREY]), tags=(9, 14))
    for read in (probe, lambda path: list(iter_frames(path))):
        with pytest.raises(EadbenchError, match="matrix 14, primaries 9, transfer 18"):
            read(tmp_path / "ictcp.mp4")


def test_data_of_the_mastering_screen_on_some_frames_costs_no_new_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H.264 has them on key frames. A table takes seconds, all else milliseconds."""
    screen = "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    write_hdr(tmp_path / "v.mp4", ColorTrc.SMPTE2084, np.array([SKIN]), x264=f"keyint=2:{screen}")
    seen = []
    monkeypatch.setattr(
        "eadbench.media.video.filtered",
        lambda graph, frame: seen.append(filters.filtered(graph, frame)) or seen[-1],
    )
    list(iter_decoded_frames(tmp_path / "v.mp4"))
    assert len(seen) == 5 and not any(len(frame.side_data) for frame in seen)


def test_graphs_are_kept_per_kind_of_frames(tmp_path: Path) -> None:
    for name, tags in (("said", (9, 9)), ("unsaid", (2, 9)), ("other", (1, 9))):
        write_hdr(tmp_path / f"{name}.mp4", ColorTrc.ARIB_STD_B67, np.array([SKIN, BLUE]), tags=tags)
    filters._per_thread.__dict__.pop("graphs", None)
    readers = [iter_frames(tmp_path / f"{name}.mp4") for name in ("said", "unsaid", "other")]
    assert len(list(zip(*readers, strict=True))) == 5
    assert len(filters._per_thread.graphs) == 2


def test_a_reader_may_go_on_in_another_thread(tmp_path: Path) -> None:
    write_hdr(tmp_path / "v.mp4", ColorTrc.ARIB_STD_B67, np.array(COLOURS))
    readers = [iter_frames(tmp_path / "v.mp4") for _ in range(2)]
    for reader in readers:
        next(reader)
    with ThreadPoolExecutor(2) as pool:
        for images in pool.map(list, readers):
            assert len(images) == 4
            assert np.abs(images[-1][1][32, 32::64].astype(int) - COLOURS).max() <= 5


def test_an_interrupted_conversion_leaves_no_frame_behind(tmp_path: Path) -> None:
    write_hdr(tmp_path / "v.mp4", ColorTrc.ARIB_STD_B67, np.array([GREY]))
    frame = next(iter_decoded_frames(tmp_path / "v.mp4"))
    assert filters._per_thread.graphs

    class Interrupted:
        def vpush(self, frame: av.VideoFrame) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filters.filtered(Interrupted(), frame.frame)
    assert not hasattr(filters._per_thread, "graphs")


def test_grey_hdr_is_brought_to_sdr_too(tmp_path: Path) -> None:
    frame = av.VideoFrame(64, 64, "gray10le")
    level = hlg(REFERENCE_WHITE * (np.array([GREY]) / 255) ** 2.4 @ TO_2020.T)[0, 0]
    frame.planes[0].update(np.full((64, frame.planes[0].line_size // 2), 64 + 876 * level, "<u2").tobytes())
    frame.color_trc, frame.color_range = ColorTrc.ARIB_STD_B67, ColorRange.MPEG
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    filters.complete_tags(frame)
    shown = filters.filtered(filters.graph_to_sdr(frame, ()), frame)
    rgb = DecodedFrame(shown).rgb()
    assert np.abs(rgb.astype(int) - GREY).max() <= 5


def test_a_forked_process_decodes_what_its_parent_has_decoded(tmp_path: Path) -> None:
    write_hdr(tmp_path / "v.mp4", ColorTrc.ARIB_STD_B67, np.array([GREY]))
    next(iter_decoded_frames(tmp_path / "v.mp4"))
    child = get_context("fork").Process(target=lambda: next(iter_decoded_frames(tmp_path / "v.mp4")))
    child.start()
    child.join(60)
    child.kill()
    assert child.exitcode == 0
