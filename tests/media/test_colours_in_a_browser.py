"""What is written, as a browser shows it: colours by the tags, at once in small and in
large files.
"""

import base64
import shutil

import cv2
import numpy as np
import pytest

from eadbench.media.video import write_video

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
COLOURS = np.array(
    [[220, 30, 30], [30, 200, 40], [40, 60, 210], [200, 200, 40], [128, 128, 128], [240, 150, 120]], np.uint8
)
SHOW = """async data => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = "data:video/mp4;base64," + data;
    document.body.append(video);
    await new Promise((done, failed) => {
        video.requestVideoFrameCallback(done);
        video.onerror = () => failed(video.error.message);
        video.play();
    });
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0);
    const x = k => (k + 0.5) * canvas.width / 6;
    const at = k => [...pen.getImageData(x(k), canvas.height / 2, 1, 1).data].slice(0, 3);
    return [0, 1, 2, 3, 4, 5].map(at);
}"""


@pytest.fixture(scope="module")
def page():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--force-color-profile=srgb"]
        )
        yield browser.new_page()
        browser.close()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("height", "width"), [(256, 252), (720, 1284)])
def test_a_browser_shows_the_colours_that_were_written(tmp_path, page, height, width, planar):
    image = np.tile(np.repeat(COLOURS[None], width // 6, 1), (height, 1, 1))
    frame = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420) if planar else image
    write_video(tmp_path / "v.mp4", [frame] * 25, crf=4)
    shown = page.evaluate(SHOW, base64.b64encode((tmp_path / "v.mp4").read_bytes()).decode())
    # Without a GPU, Chromium converts by libyuv, which holds the blue of BT.709 (2.11
    # times Cb) below 2 times Cb.
    assert np.abs(np.array(shown) - COLOURS.astype(int)).max() <= (
        10 if height == 720 and not planar else 5
    ), shown
