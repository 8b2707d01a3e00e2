"""The audit from clips to verdicts, with metrics that need no network."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from eadbench.audit.analyse import must_stay, verdict
from eadbench.audit.cli import app
from eadbench.audit.page import write_page
from eadbench.core import schemas
from eadbench.core.errors import EadbenchError
from eadbench.core.options import prepared
from eadbench.core.tables import read_table
from eadbench.media.video import write_video
from eadbench.scores.metrics import METRICS

DISTORTED = "blur,noise,brightness,freeze,audio_late,shift"
MEASURED = "ssim,psnr,sharpness_ratio,motion_energy_ratio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three clips of moving texture with audio."""
    root = tmp_path_factory.mktemp("audit") / "clips"
    root.mkdir()
    for n in range(3):
        rng = np.random.default_rng(n)
        wide = np.kron(rng.integers(40, 215, (16, 40, 3)), np.ones((6, 6, 1))).astype(np.uint8)
        frames = [np.ascontiguousarray(wide[:96, 2 * t : 2 * t + 96]) for t in range(20)]
        write_video(root / f"clip{n}.mp4", frames, audio=0.1 * rng.standard_normal(12800).astype(np.float32))
    return root


@pytest.fixture(scope="module")
def audited(folder):
    out = folder.parent / "out"
    arguments = [
        "run",
        "--clips",
        str(folder),
        "--out",
        str(out),
        "--metrics",
        MEASURED,
        "--distortions",
        DISTORTED,
    ]
    arguments += ["--evaluators", str(folder), "--max-seconds", "0.8"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def findings(audited):
    return read_table(audited / "audit.parquet", schemas.AUDIT).set_index(["metric", "distortion"])


@pytest.mark.parametrize(
    ("metric", "distortion", "sign"),
    [
        ("ssim", "blur", -1),
        ("ssim", "noise", -1),
        ("ssim", "freeze", -1),
        ("ssim", "shift", -1),
        ("ssim", "brightness", -1),
        ("psnr", "blur", -1),
        ("psnr", "noise", -1),
        ("psnr", "brightness", -1),
        ("sharpness_ratio", "blur", -1),
        ("sharpness_ratio", "noise", 1),
        ("motion_energy_ratio", "freeze", -1),
    ],
)
def test_metrics_without_network_move_in_the_expected_direction(findings, metric, distortion, sign):
    row = findings.loc[(metric, distortion)]
    assert row.rho * sign > 0.9 and row.finding == "reacts" and row.n == 3


@pytest.mark.parametrize("metric", MEASURED.split(","))
def test_audio_does_not_move_metrics_without_audio_not_even_in_the_last_digit(audited, findings, metric):
    levels = read_table(audited / "levels.parquet", schemas.AUDIT_LEVELS)
    part = levels[(levels.metric == metric) & (levels.distortion == "audio_late")]
    assert (
        len(part) == 5
        and (part.change == 0).all()
        and findings.loc[(metric, "audio_late")].finding == "stays"
    )


def test_without_distortion_every_metric_has_its_ideal(audited):
    levels = read_table(audited / "levels.parquet", schemas.AUDIT_LEVELS)
    zero = levels.groupby("metric").zero.first()
    assert zero.ssim == 1 and zero.sharpness_ratio == 1 and zero.motion_energy_ratio == 1


def test_the_page_has_verdicts_matrix_and_curves(audited):
    page = (audited / "index.html").read_text()
    assert "SSIM reacts to blur" in page and "3 clips" in page
    for name in ("matrix.png", "matrix.pdf", "curves_ssim.png"):
        assert (audited / name).stat().st_size > 1000


def test_page_and_figures_of_drawn_people_say_so(audited, tmp_path):
    levels = read_table(audited / "levels.parquet", schemas.AUDIT_LEVELS)
    findings = read_table(audited / "audit.parquet", schemas.AUDIT)
    write_page(
        tmp_path, levels[levels.metric == "ssim"], findings[findings.metric == "ssim"], [], {}, {}, drawn=True
    )
    mark = "Drawn people, synthetic voices: nobody real"
    assert mark in (tmp_path / "index.html").read_text()
    assert mark not in (audited / "index.html").read_text()
    assert (tmp_path / "curves_ssim.png").read_bytes() != (audited / "curves_ssim.png").read_bytes()


def test_what_must_not_move_is_declared_for_known_metrics_and_distortions():
    assert (
        must_stay("h264", "sync")
        and must_stay("aac", "ssim")
        and not must_stay("audio_late", "sync")
        and not must_stay("blur", "ssim")
    )


@pytest.mark.parametrize("metric", ["stable_sync", "loudness_correlation", "theval_sync", "theval_silence"])
def test_metrics_with_audio_may_react_to_it_and_not_to_the_codec(metric):
    assert all(must_stay(d, metric) for d in ("h264", "h265", "aac", "noise", "brightness"))
    assert not any(must_stay(d, metric) for d in ("audio_late", "silence", "mouth_frozen", "freeze"))


@pytest.mark.parametrize(
    "metric", ["theval_lips", "theval_brows", "theval_head", "cd_fvd", "jedi", "theval_face"]
)
def test_metrics_without_audio_must_not_react_to_it(metric):
    assert must_stay("audio_late", metric) and must_stay("silence", metric)
    assert not must_stay("freeze", metric)


def test_a_verdict_names_reactions_undetected_distortions_and_false_responses():
    rows = [
        ("blur", 2.0, False, "reacts"),
        ("noise", None, False, "stays"),
        ("audio_late", 1.0, True, "false response"),
    ]
    names = ["distortion", "smallest", "must_stay", "finding"]
    frame = pd.DataFrame(rows, columns=names).assign(variant="", n=5)
    assert verdict("ssim", frame) == (
        f"{METRICS['ssim'].label} reacts to blur (2 px and more). Not detected with 5 clips: noise. "
        "Reacts to what it should ignore: audio late (1 frame and more)."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clips", "nowhere"], "there is no such file or folder"),
        (["--clips", ".", "--distortions", "blurr"], "did you mean 'blur'"),
        (["--clips", ".", "--metrics", "ssmi"], "no metric is named 'ssmi'"),
    ],
)
def test_mistakes_are_refused_at_once(arguments, message):
    with pytest.raises(EadbenchError, match=message):
        prepared(app).main(["run", *arguments], standalone_mode=False)
