"""One pass over two videos: chunks, the choice of frames, broken files, silence,
framing.
"""

import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from eadbench.core.errors import EadbenchError, FatalError
from eadbench.media.audio import write_wav
from eadbench.media.video import write_video
from eadbench.scores import stream
from eadbench.scores.clip import Measurer
from eadbench.scores.evaluators import load_evaluators
from eadbench.scores.metrics import METRICS, Metric
from eadbench.scores.metrics.frames import Ssim
from eadbench.scores.stream import CROP, Source, cut_square, lockstep
from eadbench.scores.task import ScoreTask

from .conftest import astronaut


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """A generated video and its real one, of other size, of 37 and 40 frames."""
    folder = tmp_path_factory.mktemp("pair")
    frames, audio = astronaut(40)
    write_video(folder / "real.mp4", frames, audio=audio)
    soft = [cv2.resize(cv2.GaussianBlur(f, (0, 0), 1), (80, 80)) for f in frames[:37]]
    write_video(folder / "fake.mp4", soft, audio=audio)
    return folder / "fake.mp4", folder / "real.mp4"


@pytest.fixture(scope="module")
def measurer(zoo, scores_config):
    made = Measurer(scores_config, load_evaluators(scores_config, zoo, "cpu"))
    yield made
    made.close()


def values(measured) -> dict[str, float | None]:
    return {name: value.value for name, value in measured.values.items() if value.value is not None}


def test_values_do_not_depend_on_the_chunks(pair, measurer, monkeypatch):
    task = ScoreTask("a", emotion="happy", fake=pair[0], real=pair[1])
    whole = measurer.measure(task)
    monkeypatch.setattr(stream, "CHUNK_FRAMES", 3)
    parts = measurer.measure(task)
    without = {name for name, value in whole.values.items() if value.status != "kept"} - {"va_error"}
    without -= {name for name in without if "silence" in name}
    assert without == {name for name in whole.values if name.endswith("_slope")}
    assert values(parts) == pytest.approx(values(whole), rel=1e-4, nan_ok=True)
    for kind, features in whole.features.items():
        assert parts.features[kind] == pytest.approx(features, rel=1e-3, abs=1e-4), kind
    assert (
        "37 frames beside 40 of the real video: 37 compared" in whole.notes
        and "resized from 80x80 to 96x96" in whole.notes
    )


def test_a_wrong_guess_of_the_number_of_frames_changes_nothing(pair, measurer, monkeypatch):
    task = ScoreTask("a", emotion="happy", fake=pair[0], real=pair[1])
    right = measurer.measure(task)
    monkeypatch.setattr(Source, "expected", lambda self: 11)
    guessed = measurer.measure(task)
    assert values(guessed) == pytest.approx(values(right), rel=1e-4, nan_ok=True)
    assert guessed.features["inception"] == pytest.approx(right.features["inception"], rel=1e-3, abs=1e-4)


def test_a_real_video_in_which_the_face_is_gone_for_a_while_is_still_its_own_person(measurer, tmp_path):
    """The frames to look at are then chosen anew, and with them the clip's own mean."""
    frames, audio = astronaut(40)
    frames[10:20] = 0
    write_video(tmp_path / "a.mp4", frames, audio=audio)
    measured = measurer.measure(ScoreTask("a", fake=tmp_path / "a.mp4", real=tmp_path / "a.mp4"))
    assert measured.values["face_rate"].value < 1
    assert measured.values["csim"].value == pytest.approx(1, abs=0.05)
    assert "face_id_mean" in measured.reference["tensors"]


def test_lockstep_keeps_times_together():
    a, b = np.arange(10), np.arange(7)
    steps = list(lockstep(iter(np.split(a, [4, 8])), iter(np.split(b, [3]))))
    both = [(f, r) for f, r in steps if f is not None and r is not None]
    assert all((f == r).all() for f, r in both) and sum(len(f) for f, _ in both) == 7
    assert np.concatenate([f for f, _ in steps if f is not None]).tolist() == a.tolist()


def test_a_real_video_that_breaks_off_costs_what_needs_it(pair, measurer, monkeypatch):
    whole = Source.chunks

    def chunks(self):
        for k, chunk in enumerate(whole(self)):
            if self.path == pair[1] and k:
                raise EadbenchError("video breaks off", self.path)
            yield chunk

    monkeypatch.setattr(stream, "CHUNK_FRAMES", 8)
    monkeypatch.setattr(Source, "chunks", chunks)
    measured = measurer.measure(ScoreTask("a", emotion="happy", fake=pair[0], real=pair[1])).values
    assert measured["sync"].status == measured["acc_emo"].status == measured["lip_motion"].status == "kept"
    for name in ("ssim", "lpips", "m_lmd", "csim"):
        assert measured[name].status == "failed" and "breaks off" in measured[name].reason, name


def test_one_metrics_fault_costs_that_metric_and_no_memory_ends_the_job(pair, measurer, monkeypatch):
    monkeypatch.setattr(Ssim, "of_pair", lambda *_: 1 / 0)
    measured = measurer.measure(ScoreTask("a", fake=pair[0], real=pair[1]))
    assert "ZeroDivisionError" in measured.values["ssim"].reason and measured.retryable
    assert measured.values["psnr"].status == "kept"

    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(Ssim, "of_pair", no_memory)
    with pytest.raises(FatalError, match="out of memory"):
        measurer.measure(ScoreTask("a", fake=pair[0], real=pair[1]))


@pytest.mark.parametrize(("level", "reason"), [(0.0, "digital silence"), (3e-4, "dBFS")])
def test_silence_has_no_sync(pair, measurer, tmp_path, level, reason):
    write_wav(tmp_path / "s.wav", level * np.sin(np.arange(40 * 640) * 0.1).astype(np.float32))
    measured = measurer.measure(ScoreTask("a", fake=pair[0], real=pair[1], audio=tmp_path / "s.wav")).values
    for name in ("sync", "lse_d", "sync_offset"):
        assert measured[name].status == "dropped" and reason in measured[name].reason


def test_other_framing_is_told(pair, measurer, tmp_path):
    frames, audio = astronaut(40)
    write_video(tmp_path / "wide.mp4", np.concatenate([frames, frames], 2), audio=audio)
    measured = measurer.measure(ScoreTask("a", fake=tmp_path / "wide.mp4", real=pair[1]))
    assert any("aspect ratio 2.00 stretched to 1.00" in note for note in measured.notes)
    assert (measured.size, measured.pair_size) == (192, 96)


def test_a_large_face_is_averaged_not_sampled():
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 256, (1024, 1024, 3), np.uint8)
    cut = cut_square(fine, ((0.0, 0.0), (1.0, 1.0)))
    assert cut.shape == (CROP, CROP, 3)
    assert cut.std() < 0.35 * fine.std(), "16 pixels of noise averaged have a quarter of its deviation"


def test_a_package_offers_a_metric_without_touching_this_one(pair, tmp_path):
    """A stub distribution on the path, in a process of its own."""
    (tmp_path / "brightness.py").write_text(PLUGIN)
    info = tmp_path / "brightness-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brightness\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[eadbench.metrics]\nbrightness = brightness:Brightness\nbroken = nothing:Nothing\n"
    )
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from pathlib import Path
from eadbench.scores.clip import Measurer
from eadbench.scores.config import ScoresConfig
from eadbench.scores.evaluators import Evaluators
from eadbench.scores.task import ScoreTask
config = ScoresConfig.model_validate({{"evaluators": {{}}, "metrics": ["brightness", "psnr"]}})
task = ScoreTask("a", fake=Path({str(pair[0])!r}), real=Path({str(pair[1])!r}))
values = Measurer(config, Evaluators()).measure(task).values
print(values["brightness"].value, values["brightness"].frames, values["psnr"].value)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    value, frames, psnr = map(float, done.stdout.split())
    assert -20 < value < 20 and frames == 37 and psnr > 20


def test_attributes_of_an_earlier_version_are_understood_with_a_warning(caplog):
    class Loud(Metric):
        name, sound = "loud", True

        def misjudged(self) -> bool:
            return True

    assert Loud.needs_audio and Loud.needs() == ("audio",) and Loud().needs_second_pass()
    assert "'sound' is now called 'needs_audio'" in caplog.text
    assert "'misjudged' is now called 'needs_second_pass'" in caplog.text


PLUGIN = """
from eadbench.scores.metrics import Chunk, Metric, Value


class Brightness(Metric):
    name, label, direction = "brightness", "Brightness", "none"
    meaning = "mean grey level less the clip's"
    source, unit, ideal = "a test", "grey levels", 0.0
    reads, paired = ("pair",), True

    def __init__(self, clip=None):
        super().__init__(clip)
        self.total, self.frames = 0.0, 0

    def update(self, chunk: Chunk) -> None:
        for fake, real in chunk.pairs():
            self.total += float(fake.mean()) - float(real.mean())
            self.frames += 1

    def compute(self) -> Value:
        return Value(self.total / self.frames, self.frames)
"""


def test_every_metric_says_what_it_is():
    for name, metric in METRICS.items():
        assert issubclass(metric, Metric) and metric.name == name
        assert (
            metric.label and metric.meaning and metric.source and metric.direction in ("up", "down", "none")
        )
        assert metric.needs() or metric.kind == "set"
    assert (
        METRICS["sync"].needs() == ("fake", "audio")
        and METRICS["m_lmd"].landmarks
        and not METRICS["ssim"].landmarks
    )
    assert "positive when the audio leads" in METRICS["sync_offset"].meaning


def test_importing_the_scores_needs_no_other_stack():
    code = (
        "import sys, eadbench.scores.measure, eadbench.scores.summarise; print(*[m for m in %r if m in "
        "sys.modules])"
    )
    heavy = [
        "diffusers",
        "snakemake",
        "openai",
        "insightface",
        "lpips",
        "mediapipe",
        "transformers",
        "torchvision",
    ]
    done = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("shown", [1, 0], ids=["itself", "coded once more"])
def test_what_is_known_of_a_real_video_goes_by_content(
    pair, measurer, scores_config, tmp_path, monkeypatch, shown
):
    """The ground truth's cell learns it from the clip's own video, whether that is what
    it shows or, as where the methods' codec is applied to it, what it compares with.
    """
    from eadbench.scores.measure import measure_cell

    real = tmp_path / "renamed.mp4"
    shutil.copy(pair[1], real)
    config = scores_config.model_copy(
        update={"metrics": ("csim", "m_lmd", "sharpness_ratio", "motion_energy_ratio")}
    )
    cell = {"method": "m", "corpus": "c", "protocol": "self"}
    truth = [ScoreTask("own", fake=pair[shown], real=pair[1])]
    measure_cell(cell, truth, config, measurer.evaluators, tmp_path / "truth" / "per_clip.parquet")
    tasks = [ScoreTask("other name", fake=pair[0], real=real)]
    alone = measure_cell(cell, tasks, config, measurer.evaluators, tmp_path / "alone" / "per_clip.parquet")
    asked = []
    tracker = Measurer.tracker
    monkeypatch.setattr(Measurer, "tracker", lambda self, side: asked.append(side) or tracker(self, side))
    known = measure_cell(
        cell,
        tasks,
        config,
        measurer.evaluators,
        tmp_path / "known" / "per_clip.parquet",
        real=tmp_path / "truth",
    )
    assert asked == ["fake"], "the mesh looks at the real video no more"
    assert known.value.to_numpy() == pytest.approx(alone.value.to_numpy(), rel=1e-5)


def test_labels_count_and_another_run_is_refused(pair, measurer, scores_config, tmp_path, monkeypatch):
    from eadbench.scores.measure import measure_cell

    config = scores_config.model_copy(update={"metrics": ("psnr",)})
    cell, out = {"method": "m", "corpus": "c", "protocol": "self"}, tmp_path / "per_clip.parquet"

    def run(speaker):
        return measure_cell(
            cell,
            [ScoreTask("a", speaker=speaker, fake=pair[0], real=pair[1])],
            config,
            measurer.evaluators,
            out,
            reuse=True,
        )

    assert run("Ann").speaker.tolist() == ["Ann"]
    with monkeypatch.context() as patch:
        patch.setattr(Measurer, "measure", lambda *_: pytest.fail("measured again for a name"))
        assert run("Bea").speaker.tolist() == ["Bea"]
    with monkeypatch.context() as patch:
        patch.setattr(Measurer, "measure", lambda *_: run("Cid"))
        with pytest.raises(EadbenchError, match="another run writes here"):
            measure_cell(
                cell,
                [ScoreTask("b", fake=pair[0], real=pair[1])],
                config,
                measurer.evaluators,
                out,
                reuse=True,
            )


def test_the_documented_use_runs():
    page = Path(__file__).parents[2] / "docs" / "scoring.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 8 and result.failed == 0
