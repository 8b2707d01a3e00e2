"""The page: what it holds, and how it behaves in a real browser."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic
from safetensors.numpy import save_file

from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.tables import read_table, write_table
from eadbench.media.video import write_video
from eadbench.tables.build import TableInputs, build
from eadbench.tables.charts import page_data
from eadbench.tables.config import TablesConfig
from eadbench.tables.figures import block_name, history_figure, quality, save
from eadbench.tables.gallery import read_adjacency, slug
from eadbench.tables.load import load_built
from eadbench.tables.report import bundle_page, head_counts, report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
NASTY = '</script><img src=x onerror="window.broken=1">&'
MOTION = ("jitter_ratio", "motion_energy_ratio")
METHODS = {
    m: synthetic.METHODS[m]
    for m in ("full", "no_stda", "no_tfrm", "wav2lip", "still", "copied_input", "ground_truth")
}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "device_scale_factor": 1}


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page over seven methods with videos; one method's name is an HTML injection."""
    folder = synthetic.make_results(
        tmp_path_factory.mktemp("page") / "results",
        synthetic.World(
            methods=METHODS,
            corpora=("demo_hdtf", "demo_mead"),
            speakers=2,
            clips=2,
            videos=True,
            frames=40,
            size=64,
        ),
    )
    (folder / "samples/wav2lip/demo_mead/self/videos/S00_001-000.mp4").unlink()
    for path in folder.glob("samples/*/demo_hdtf/self/samples.parquet"):  # a corpus without labels
        write_table(path, read_table(path, schemas.SAMPLES).assign(target_emotion=None), schemas.SAMPLES)
    for path in folder.glob("scores/*/demo_hdtf/self/per_clip.parquet"):
        write_table(path, read_table(path, schemas.PER_CLIP).assign(emotion=None), schemas.PER_CLIP)
    config = TablesConfig.model_validate(
        synthetic.CONFIG | {"labels": synthetic.CONFIG["labels"] | {"wav2lip": NASTY}}
    )
    build(TableInputs(**synthetic.inputs_of(folder)), config, 1, folder / "tables" / "scores.parquet")
    report(folder / "tables", folder, folder / "report" / "index.html")
    return folder / "report"


def test_the_folder_is_whole(page_folder: Path) -> None:
    html = (page_folder / "index.html").read_text()
    for address in re.findall(r'(?:src|href)="([^"#]+)"', html):
        if not address.startswith("data:"):
            assert (page_folder / address).exists(), address
    assert "http://" not in html and "https://" not in html.replace("https://www.w3.org", "")
    data = json.loads(
        (page_folder / "report_assets" / "data.js")
        .read_text()
        .removeprefix("window.EADBENCH = ")
        .removesuffix(";\n")
    )
    for cell in data["videos"]["cells"]:
        for clip in cell["clips"]:
            assert all((page_folder / "report_assets" / path).exists() for path in clip["methods"].values())
    assert {p.suffix for p in (page_folder / "report_assets" / "figures").iterdir()} == {".png", ".pdf"}
    assert (
        sum(p.name.startswith("strip_") for p in (page_folder / "report_assets" / "figures").glob("*.png"))
        == 3
    )
    assert (page_folder / "report_assets" / "figures" / "adjacency_full.png").exists()


def test_the_bundle_is_the_page_and_nothing_else(page_folder: Path, tmp_path: Path) -> None:
    (page_folder / "notes.txt").write_text("mine")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "of_an_older_page").touch()
    bundle_page(page_folder / "index.html", tmp_path / "bundle")
    bundled = {
        path.relative_to(tmp_path / "bundle"): path.read_bytes()
        for path in (tmp_path / "bundle").rglob("*")
        if path.is_file()
    }
    page_files = {
        path.relative_to(page_folder): path.read_bytes() for path in page_folder.rglob("*") if path.is_file()
    }
    page_files.pop(Path("notes.txt"))
    assert bundled == page_files and len(bundled) > 10


def test_the_page_says_whose_people_are_drawn_and_how_to_cite(page_folder: Path) -> None:
    html = (page_folder / "index.html").read_text()
    assert (
        "Drawn people, synthetic voices.</strong> Nobody real is seen or heard in the clips of HDTF "
        "(demo), MEAD (demo)." in html
    )
    assert (
        html.count("Drawn people, synthetic voices.</") >= 1
        and "as the paper&#39;s figure 4. Drawn people, synthetic voices." in html
    )
    assert (
        "<code>eadbench tables cite --tables PLACE</code> prints the BibTeX" in html
        and "@inproceedings{wang2020mead," in html
    )
    assert "What was trained on what" in html and "another speaker&#39;s clip of the same label" in html


def test_measured_and_quoted_values_never_share_a_table(page_folder: Path) -> None:
    html = (page_folder / "index.html").read_text()
    main = html[html.index('id="table-main"') : html.index('id="hq-main"')]
    quoted = html[html.index('id="hq-main"') :]
    assert "46.67" not in main and "46.67" in quoted and "not comparable with the table above" in quoted


def test_every_head_explains_its_metric(page_folder: Path) -> None:
    html = (page_folder / "index.html").read_text()
    targets = set(re.findall(r'popovertarget="([^"]+)"', html))
    assert (
        targets
        == set(re.findall(r'<div popover id="([^"]+)"', html))
        == {f"m-{m}" for m in ("ssim", "fid", "fvd", "sync", "acc_emo", *MOTION)}
    )
    explanation = html[html.index('id="m-sync"') :].partition("</div>")[0]
    assert all(
        f"<dt>{word}</dt>" in explanation
        for word in ("Definition", "Better", "Values", "Evaluator", "Reacts to", "Source")
    )


def test_curves_show_validation_quality_with_names_and_mark(tmp_path: Path) -> None:
    logged = {"lr": ["train"], "loss": ["train", "val"], "trepa": ["train"], "noise": ["val"]}
    rows = [
        {"run": "full", "step": step, "split": split, "quantity": name, "value": 1.0}
        for name, splits in logged.items()
        for split in splits
        for step in (1, 2)
    ]
    history = pd.DataFrame(rows)
    assert quality(history) == ["noise", "loss", "trepa"], "validation first, how the run went not at all"
    figure = history_figure(history, {"full": "EAD-Net"})
    assert [axis.get_title() for axis in figure.axes] == ["noise prediction error", "loss"]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        "EAD-Net, training",
        "EAD-Net, validation",
    }
    plain = save(figure, tmp_path / "plain") or (tmp_path / "plain.png").read_bytes()
    save(history_figure(history, {"full": "EAD-Net"}), tmp_path / "marked", "drawn people, synthetic voices")
    assert (tmp_path / "marked.png").read_bytes() != plain, "the mark is in the image"
    alone = history_figure(history[history.split == "train"])
    assert [axis.get_title() for axis in alone.axes] == ["TREPA loss", "loss"], (
        "without validation, what there is of training"
    )


def test_names_are_escaped(page_folder: Path) -> None:
    html = (page_folder / "index.html").read_text()
    assert NASTY not in html and "&lt;/script&gt;&lt;img" in html


def test_clips_without_a_label_have_none(page_folder: Path) -> None:
    html = (page_folder / "index.html").read_text()
    assert "HDTF (demo), clip S00_000-000. Methods" in html and "(nan)" not in html and "(None)" not in html


def test_frame_graphs_are_read_per_block(tmp_path: Path) -> None:
    assert read_adjacency(tmp_path) == {}
    rounds = np.stack([np.eye(4), np.full((4, 4), 0.25)]).astype(np.float32)
    save_file({"up_blocks.0": rounds, "down_blocks.1": rounds[:1]}, tmp_path / "adjacency.safetensors")
    maps = read_adjacency(tmp_path)
    assert list(maps) == ["down_blocks.1", "up_blocks.0"] and [block_name(name) for name in maps] == [
        "down, level 2",
        "up, level 1",
    ]
    np.testing.assert_allclose(maps["up_blocks.0"], rounds.mean(0))
    (tmp_path / "adjacency.safetensors").write_bytes(b"half")
    with pytest.raises(EadbenchError, match="frame graphs"):
        read_adjacency(tmp_path)


def test_absent_pieces_are_named(results: Path, tmp_path: Path) -> None:
    report(results / "tables", tmp_path / "empty", tmp_path / "out" / "index.html")
    html = (tmp_path / "out" / "index.html").read_text()
    for what in ("captions", "confusion matrices", "per-clip values", "samples of 39 cells", "results/clips"):
        assert f"Not there: {what}" in html
    with pytest.raises(EadbenchError, match="missing"):
        report(tmp_path / "nothing", tmp_path, tmp_path / "out" / "index.html")


def test_training_curves_need_no_ablation(results: Path, config: TablesConfig, tmp_path: Path) -> None:
    without = config.model_copy(update={"ablation": None})
    build(TableInputs(**synthetic.inputs_of(results)), without, 1, tmp_path / "tables" / "scores.parquet")
    report(tmp_path / "tables", tmp_path / "nothing", tmp_path / "report" / "index.html")
    html = (tmp_path / "report" / "index.html").read_text()
    assert 'id="history"' in html and "figures/training_curves.png" in html and 'id="ablation"' not in html


def test_clips_count_once_however_many_protocols_use_them(results: Path) -> None:
    built = load_built(results / "tables")
    data = page_data(built, results)
    assert (str(3 * 24), "test clips") in head_counts(built, data)
    data["perclip"]["demo_hdtf/cross"] = data["perclip"]["demo_hdtf/self"]
    assert (str(3 * 24), "test clips") in head_counts(built, data)
    assert ("1", "corpus") in head_counts(built, data | {"corpora": {"demo_hdtf": "HDTF"}})


def test_slugs_are_safe_and_distinct() -> None:
    names = ["a", "a b", "a/b", "../a", "方法", "a-b", ".."]
    slugs = [slug(n) for n in names]
    assert len(set(slugs)) == len(names) and all(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*|-[0-9a-f]{8}", f) for f in slugs
    )


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, page_folder: Path) -> Iterator:
    """The opened page; afterwards: no error on the console, no request beyond the
    folder.
    """
    with open_page(browser, page_folder) as page:
        yield page


@pytest.fixture
def phone(browser, page_folder: Path) -> Iterator:
    """The same on a small dark screen."""
    with open_page(browser, page_folder, color_scheme="dark", **PHONE) as page:
        yield page


@contextmanager
def open_page(browser, folder: Path, **options) -> Iterator:
    context = browser.new_context(**options)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on(
        "request",
        lambda r: (
            None
            if r.url.startswith((folder.as_uri(), "data:", "blob:"))
            else problems.append(f"request to {r.url}")
        ),
    )
    page.on(
        "requestfailed",
        lambda r: problems.append(f"failed: {r.url}") if "ERR_ABORTED" not in (r.failure or "") else None,
    )
    page.goto((folder / "index.html").as_uri())
    yield page
    assert page.evaluate("window.broken") is None
    context.close()
    assert not problems


def column(page, index: int) -> list[str]:
    return page.eval_on_selector_all(
        f"#t-main tbody tr:not([hidden]) > :nth-child({index})", "cells => cells.map(c => c.dataset.sort)"
    )


@pytest.mark.browser
def test_sort_by_mouse_and_keyboard(page) -> None:
    order = column(page, 1)
    button = page.locator("#t-main thead tr:last-child th:nth-child(3) button").first  # FID: lower is better
    button.click()
    *values, last = column(page, 3)
    assert values == sorted(values, key=float) and len(values) == 5 and last == "", (
        "the method without scores stays last"
    )
    button.press("Enter")
    *values, last = column(page, 3)
    assert values == sorted(values, key=float, reverse=True) and last == ""
    assert (
        page.locator("#t-main thead tr:last-child th:nth-child(3)").get_attribute("aria-sort") == "descending"
    )
    button.press("Enter")
    assert column(page, 1) == order, "the third one restores the order"
    assert page.locator("#t-main thead tr:last-child th:nth-child(3)").get_attribute("aria-sort") == "none"
    page.locator(
        "#t-main thead tr:last-child th:nth-child(2) button"
    ).first.click()  # SSIM: higher is better, so the best comes first
    assert column(page, 2)[:5] == sorted(column(page, 2)[:5], key=float, reverse=True)


@pytest.mark.browser
def test_filter(page) -> None:
    page.get_by_label("Filter rows").first.fill("control")
    assert page.locator("#t-main tbody tr:visible").count() == 3
    assert page.locator('[data-count="t-main"]').inner_text() == "3 of 6 rows"
    page.get_by_label("Filter rows").first.fill("nobody ")
    assert page.locator('[data-count="t-main"]').inner_text() == "No row holds “nobody”."
    page.get_by_label("Filter rows").first.fill("")
    assert page.locator("#t-main tbody tr:visible").count() == 6


@pytest.mark.browser
def test_a_head_explains_its_metric(page) -> None:
    page.get_by_role("button", name="What is Sync (LSE-C)?").first.click()
    box = page.locator("#m-sync")
    assert box.is_visible() and "SyncNet confidence" in box.inner_text() and "higher" in box.inner_text()
    page.keyboard.press("Escape")
    assert not box.is_visible()


@pytest.mark.browser
def test_play_is_within_ten_tabs(page) -> None:
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Videos":
            page.keyboard.press("Enter")
        elif page.evaluate("document.activeElement.id") == "p-play":
            break
    assert page.evaluate("document.activeElement.id") == "p-play"


@pytest.mark.browser
def test_charts_and_players_open_on_the_corpus_with_labels(page) -> None:
    assert page.locator("#c-cell").input_value() == "demo_mead/self" == page.locator("#b-cell").input_value()
    page.locator("#player").scroll_into_view_if_needed()
    page.wait_for_selector("#p-grid video")
    assert page.locator("#p-cell option:checked").inner_text() == "MEAD (demo)"
    assert page.locator("#p-info").inner_text().endswith("drawn people, synthetic voices")


@pytest.mark.browser
def test_a_cell_of_one_clip_is_marked_and_has_no_colour(page) -> None:
    cells = page.evaluate(
        """() => {
        const rows = DATA.breakdown.map(r => (r[5] === 'happy' ? [...r.slice(0, 7), null, null, 1] : r));
        breakdownTable(document.querySelector('#breakdown'), rows, 'demo_mead/self', 'sync', 'emotion');
        const cells = [...document.querySelectorAll('#breakdown tbody td')];
        return cells.map(td => [td.textContent.endsWith('n = 1'), td.className, td.style.background !== '']);
      }"""
    )
    assert {tuple(cell) for cell in cells} == {(True, "single", False), (False, "", True)}


@pytest.mark.browser
def test_figures_of_drawn_people_say_so(page) -> None:
    for selector in ("#dots .chart", "#overview", "#effects", "#history", "[data-similarity]", "#losses"):
        page.locator(selector).first.scroll_into_view_if_needed()
        page.wait_for_selector(f"{selector} .annotation-text >> text=drawn people, synthetic voices")


@pytest.mark.browser
def test_the_last_column_is_in_sight_at_1400_pixels(browser, page_folder: Path) -> None:
    with open_page(browser, page_folder, viewport={"width": 1400, "height": 900}) as page:
        scroll_box = page.locator("#table-main .scroll")
        assert scroll_box.evaluate("e => e.scrollWidth <= e.clientWidth"), (
            "the main table has to be scrolled sideways"
        )


@pytest.mark.browser
def test_videos_are_loaded_when_asked_for_and_play_in_step(page) -> None:
    assert page.locator("video").count() == 0
    page.locator("#player").scroll_into_view_if_needed()
    page.wait_for_selector("#p-grid video")
    assert page.locator("#p-grid video").count() == 7
    page.locator("#p-loop").uncheck()
    page.wait_for_function("[...document.querySelectorAll('#p-grid video')].every(v => v.readyState >= 3)")
    page.locator("#p-play").click()
    page.wait_for_function(
        "[...document.querySelectorAll('#p-grid video')].every(v => !v.paused && v.currentTime > 0.3)"
    )
    spread = page.evaluate(
        """async () => {
        const videos = [...document.querySelectorAll('#p-grid video')], spreads = [];
        while (videos.every(v => !v.paused && !v.ended) && spreads.length < 60) {
          const times = videos.map(v => v.currentTime);
          spreads.push(Math.max(...times) - Math.min(...times));
          await new Promise(requestAnimationFrame);
        }
        return spreads;
      }"""
    )
    assert len(spread) > 5
    assert sorted(spread)[int(0.9 * len(spread))] <= 2 / 25 + 1e-3, f"apart by up to {max(spread):.3f} s"
    assert page.evaluate("[...document.querySelectorAll('#p-grid video')].filter(v => !v.muted).length") == 1
    page.wait_for_function("document.querySelector('#p-play').textContent === 'Play all'", timeout=10_000)


@pytest.mark.browser
def test_scrub_steps_zoom_and_choice(page) -> None:
    page.locator("#player").scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('#p-grid video')].length && [...document.querySelectorAll('#p-grid "
        "video')].every(v => v.readyState >= 2)"
    )
    times = "[...document.querySelectorAll('#p-grid video')].map(v => v.currentTime)"
    page.locator("#p-scrub").fill("1")
    assert set(page.evaluate(times)) == {1}
    page.get_by_role("button", name="One frame forth").click()
    assert page.evaluate(times) == pytest.approx([1.04] * 7)
    page.locator("#p-grid").press("ArrowLeft")
    assert page.evaluate(times) == pytest.approx([1.0] * 7)
    page.get_by_label("Mouth only").check()
    page.wait_for_function(
        "new DOMMatrix(getComputedStyle(document.querySelector('#p-grid video')).transform).a > 2"
    )
    page.locator("#p-emotion").select_option("happy")
    assert page.locator("#p-clip option").count() == 2
    page.locator("#p-order").select_option("sync")
    assert "spread" in page.locator("#p-clip option").first.inner_text()
    spreads = [
        float(re.search(r"spread ([\d.]+)", t)[1]) for t in page.locator("#p-clip option").all_inner_texts()
    ]
    assert spreads == sorted(spreads, reverse=True)
    page.locator("#p-clip").select_option("S00_001-000")
    assert page.get_by_text("this method has no video of this clip").count() == 1
    page.get_by_role("button", name="Next clip").click()
    assert page.locator("#p-info").inner_text().startswith("Clip S01_001-000")


@pytest.mark.browser
def test_charts_and_breakdowns_draw(page) -> None:
    for selector in ("#dots .chart", "#overview", "#effects", "#history", "[data-similarity]", "#losses"):
        page.locator(selector).first.scroll_into_view_if_needed()
        page.wait_for_selector(f"{selector} .main-svg")
    page.locator("#b-by").select_option("speaker")
    assert (
        page.locator("#breakdown tbody tr").count() == 7 and page.locator("#breakdown thead th").count() == 3
    )
    assert page.locator("#confusion td").count() == 2 * len(synthetic.EMOTIONS)
    assert page.locator("#effects-beside").is_hidden()
    page.locator("#a-metric").select_option(index=page.locator("#a-metric option").count() - 2)
    assert "Motion energy at the same time" in page.locator("#sentences").inner_text()
    page.locator("#effects-beside").scroll_into_view_if_needed()
    page.wait_for_selector("#effects-beside .main-svg")
    page.locator("#b-metric").select_option("jitter_ratio")
    assert "Motion energy" in page.locator("#breakdown-beside caption").inner_text()


@pytest.mark.browser
def test_semantics(page) -> None:
    page.locator("#player").scroll_into_view_if_needed()
    page.wait_for_selector("#p-grid video")
    bare = page.evaluate(
        """() => {
        const named = e => (e.labels && e.labels.length) || e.getAttribute('aria-label')
            || e.getAttribute('aria-labelledby') || e.textContent.trim();
        const kinds = 'button, select, input, video, img, [role=region], [role=group]';
        return [...document.querySelectorAll(kinds)]
          .filter(e => !(e.tagName === 'IMG' ? e.alt : named(e))).map(e => e.outerHTML.slice(0, 100));
      }"""
    )
    assert bare == []
    assert (
        page.evaluate(
            "[...document.querySelectorAll('table')].filter(t => !t.caption || "
            "!t.querySelector('th[scope=col]')).map(t => t.id)"
        )
        == []
    )
    assert page.locator("h1").count() == 1 and page.evaluate("document.documentElement.lang") == "en"
    ids = page.evaluate("[...document.querySelectorAll('[id]:not(svg *)')].map(e => e.id)")
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.browser
def test_phone_in_the_dark(phone) -> None:
    phone.locator("#player").scroll_into_view_if_needed()
    phone.wait_for_selector("#p-grid video")
    phone.locator("#provenance").scroll_into_view_if_needed()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390, (
        "the page itself must not scroll sideways"
    )
    light = phone.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(light[:3]) < 60


@pytest.fixture(scope="module")
def large_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page over 30 methods and 500 clips; all 15,000 videos are one file under other
    names.
    """
    methods = METHODS | {f"other{k:02d}": k / 30 for k in range(30 - len(METHODS))}
    root = tmp_path_factory.mktemp("large")
    folder = synthetic.make_results(
        root / "results",
        synthetic.World(
            methods=methods, corpora=("demo_hdtf",), speakers=10, clips=50, frames=15, history=()
        ),
    )
    write_video(root / "one.mp4", synthetic.moving_face(15, 64, 1, 0.8), audio=synthetic.tone(15, 300))
    for path in folder.glob("samples/*/*/*/samples.parquet"):
        samples = read_table(path, schemas.SAMPLES)
        samples["video"] = [f"videos/{clip}.mp4" for clip in samples.clip_id]
        write_table(path, samples, schemas.SAMPLES)
        (path.parent / "videos").mkdir()
        for name in samples.video:
            os.link(root / "one.mp4", path.parent / name)
    listed = [m for m in methods if m != "ground_truth"] + ["ground_truth"]
    tables = {key: synthetic.CONFIG[key] | {"corpora": ["demo_hdtf"]} for key in ("main", "speed")}
    config = TablesConfig.model_validate(
        {
            "methods": listed,
            "controls": ["still", "copied_input"],
            "bootstrap": 100,
            **tables,
            "main": tables["main"] | {"quoted": {}},
        }
    )
    build(TableInputs(**synthetic.inputs_of(folder)), config, 1, folder / "tables" / "scores.parquet")
    report(folder / "tables", folder, folder / "report" / "index.html")
    return folder / "report"


@pytest.mark.browser
def test_thirty_methods_and_five_hundred_clips_stay_usable(browser, large_folder: Path) -> None:
    requests: list[str] = []
    with open_page(browser, large_folder) as page:
        page.on("request", lambda r: requests.append(r.url) if r.url.endswith(".mp4") else None)
        page.wait_for_function("document.querySelectorAll('#c-cell option').length > 0")
        assert page.locator("#t-main tbody tr").count() == 30
        page.locator("#player").scroll_into_view_if_needed()
        page.wait_for_selector("#p-grid video")
        assert page.locator("#p-clip option").count() == 500
        assert page.locator("#p-grid video").count() == 8, "with many methods, the first few"
        page.wait_for_function(
            "[...document.querySelectorAll('#p-grid video')].every(v => v.readyState >= 2)"
        )
        assert len(set(requests)) == 8, "of 15,000 videos only those on the screen"
        page.locator("#p-order").select_option("sync")
        spreads = [float(s) for s in re.findall(r"spread ([0-9.]+)", page.locator("#p-clip").inner_text())]
        assert len(spreads) == 500 and spreads == sorted(spreads, reverse=True)
        page.locator("#p-methods-box summary").click()
        page.get_by_role("button", name="Show all").click()
        assert page.locator("#p-grid video").count() == 30
        page.locator("#p-loop").uncheck()
        page.locator("#p-play").click()
        page.wait_for_function(
            "[...document.querySelectorAll('#p-grid video')].every(v => v.currentTime > 0.3)", timeout=20_000
        )
