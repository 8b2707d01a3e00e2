"""The scores against their peers, run one after the other on the same videos with the
same networks.

    python benchmarks/scores.py [--clips 6] [--seconds 4] [--size 256] \
        [--only suite,frechet,bootstrap,sync,arithmetic]

With --video FILE --zoo FOLDER [--old CHECKOUT] the whole command `eadbench score` of
this build and of an older one, see score_builds.py.

Peers: PNG files and pytorch-fid's statistics with scipy's matrix root, scikit-image's
SSIM, lpips frame by frame, a plain loop over windows for FVD, syncnet_python's
evaluation (JPEG files, windows of 20, shift by shift). Prints CPU seconds of the
process and the values of both sides.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import python_speech_features
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eadbench.media.audio import read_audio
from eadbench.media.video import read_frames, write_video
from eadbench.models.syncnet_evaluator import SyncNetV2
from eadbench.scores.bootstrap import FrechetBootstrap, resamplings
from eadbench.scores.clip import Measurer
from eadbench.scores.config import ScoresConfig
from eadbench.scores.evaluators import load_evaluators
from eadbench.scores.frechet import frechet_distance
from eadbench.scores.task import ScoreTask
from eadbench.zoo.config import ZooConfig
from eadbench.zoo.kinds.syncnet_evaluator import SyncEvaluator, SyncNetOptions
from eadbench.zoo.make import ArtefactInputs, make

EVALUATORS = {"fid": "inception", "fvd": "i3d", "lpips": "lpips"}
METRICS = ("fid", "fvd", "ssim", "lpips")


def timed(work):
    """Result and CPU seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


def texture(frames: int, size: int, seed: int) -> np.ndarray:
    """A moving image with detail."""
    rng = np.random.default_rng(seed)
    wide = cv2.resize(
        rng.integers(0, 256, (size // 8, size // 4, 3), np.uint8),
        (2 * size, size),
        interpolation=cv2.INTER_CUBIC,
    )
    return np.stack([wide[:, k % size : k % size + size] for k in range(frames)])


def film(folder: Path, clips: int, frames: int, size: int) -> None:
    """Real and generated videos with audio."""
    for k in range(clips):
        images = texture(frames, size, k)
        audio = np.random.default_rng(k).normal(0, 0.1, frames * 640).astype(np.float32)
        write_video(folder / "real" / f"{k}.mp4", images, audio=audio)
        write_video(
            folder / "fake" / f"{k}.mp4", [cv2.GaussianBlur(f, (0, 0), 1) for f in images], audio=audio
        )


def matrix_root_distance(x: np.ndarray, y: np.ndarray) -> float:
    from pytorch_fid.fid_score import calculate_frechet_distance

    x, y = x.astype(np.float64), y.astype(np.float64)
    return float(
        calculate_frechet_distance(x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))
    )


def peers(folder: Path, nets: dict) -> dict[str, tuple[float, float]]:
    """Value and CPU seconds of each peer; each reads its own input, as separate
    programs do.
    """
    from skimage.metrics import structural_similarity

    names = sorted(p.name for p in (folder / "real").iterdir())

    def fid():
        sides = []
        for side in ("real", "fake"):
            files = []
            for name in names:
                for k, frame in enumerate(read_frames(folder / side / name)):
                    files.append(folder / "png" / side / f"{name}-{k:04d}.png")
                    files[-1].parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(files[-1]), frame[..., ::-1])
            loaded = [
                np.stack([cv2.imread(str(f))[..., ::-1] for f in files[at : at + 50]])
                for at in range(0, len(files), 50)
            ]
            sides.append(
                np.concatenate([nets["fid"].features(np.ascontiguousarray(batch)) for batch in loaded])
            )
        return matrix_root_distance(*sides)

    def fvd():
        sides = []
        for side in ("real", "fake"):
            found = []
            for name in names:
                frames = read_frames(folder / side / name)
                found += [
                    nets["fvd"].features(frames[None, at : at + 16]) for at in range(0, len(frames) - 15, 16)
                ]
            sides.append(np.concatenate(found))
        return matrix_root_distance(*sides)

    def ssim():
        values = []
        for name in names:
            for a, b in zip(
                read_frames(folder / "fake" / name), read_frames(folder / "real" / name), strict=True
            ):
                values.append(
                    structural_similarity(
                        a,
                        b,
                        gaussian_weights=True,
                        sigma=1.5,
                        use_sample_covariance=False,
                        data_range=255,
                        channel_axis=-1,
                    )
                )
        return float(np.mean(values))

    @torch.no_grad()
    def lpips():
        values = []
        for name in names:
            for pair in zip(
                read_frames(folder / "fake" / name), read_frames(folder / "real" / name), strict=True
            ):
                a, b = (torch.from_numpy(f.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1 for f in pair)
                values.append(float(nets["lpips"].net(a, b)))
        return float(np.mean(values))

    return {work.__name__: timed(work) for work in (fid, fvd, ssim, lpips)}


def ours(folder: Path, config: ScoresConfig, evaluators) -> dict[str, float]:
    """All of it in one pass over the videos."""
    sides = {}
    for side in ("real", "fake"):
        names = sorted(p.stem for p in (folder / side).iterdir())
        wanted = config if side == "fake" else config.model_copy(update={"metrics": ("fid", "fvd")})
        measurer = Measurer(wanted, evaluators)
        sides[side] = [
            measurer.measure(ScoreTask(n, fake=folder / side / f"{n}.mp4", real=folder / "real" / f"{n}.mp4"))
            for n in names
        ]
    stacked = {
        kind: [np.concatenate([m.features[kind] for m in sides[s]]) for s in ("real", "fake")]
        for kind in ("inception", "i3d-stylegan-v")
    }
    values = {
        name: float(np.mean([m.values[name].value for m in sides["fake"]])) for name in ("ssim", "lpips")
    }
    return values | {
        "fid": frechet_distance(*stacked["inception"]),
        "fvd": frechet_distance(*stacked["i3d-stylegan-v"]),
    }


def suite(arguments) -> dict:
    """FID, FVD, SSIM and LPIPS of the same videos with small extractors of the same
    size on both sides.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        film(folder, arguments.clips, 25 * arguments.seconds, arguments.size)
        artefacts = {kind: {"kind": kind, "how": "random"} for kind in EVALUATORS.values()}
        artefacts["inception"]["options"] = {"channels": [16, 32, 48], "size": 128}
        artefacts["i3d"]["options"] = {"channels": [8, 16, 24], "size": 64}
        zoo_config = ZooConfig.model_validate({"artefacts": artefacts})
        for name in artefacts:
            make(name, zoo_config, 1, ArtefactInputs([], {}), folder / "zoo" / name)
        config = ScoresConfig.model_validate(
            {"evaluators": EVALUATORS, "metrics": METRICS, "fvd_protocols": ["stylegan-v"]}
        )
        evaluators = load_evaluators(config, {name: folder / "zoo" / name for name in artefacts}, "cpu")
        them = peers(folder, evaluators.nets)
        us, seconds = timed(lambda: ours(folder, config, evaluators))
    return {
        "peers": {name: {"value": value, "seconds": round(s, 2)} for name, (value, s) in them.items()},
        "ours": us,
        "seconds_peers": round(sum(s for _, s in them.values()), 2),
        "seconds_ours": round(seconds, 2),
    }


def frechet(arguments) -> dict:
    """The distance alone at 2048 features, against scipy's matrix root; wall-clock
    medians.
    """
    found = {}
    for n in (100, 500, 5000):
        x, y = (
            np.random.default_rng(k).standard_normal((n, 2048)).astype(np.float32) * (1 + 0.1 * k)
            for k in (1, 2)
        )
        times = {}
        for name, work, repeats in (
            ("ours", frechet_distance, 3),
            ("scipy", matrix_root_distance, arguments.repeats),
        ):
            runs, value = [], 0.0
            for _ in range(repeats):
                start = time.perf_counter()
                value = work(x, y)
                runs.append(time.perf_counter() - start)
            times[name] = {"value": value, "seconds": round(median(runs), 3)}
        found[n] = times | {"times_faster": round(times["scipy"]["seconds"] / times["ours"]["seconds"], 1)}
    return found


def bootstrap(arguments) -> dict:
    """1,000 replicates of FID at 2048 features on 300 clips, from 50 of them; CPU
    seconds.
    """
    found = {}
    for frames in (1, 5, 16):
        x, y = (
            [
                np.random.default_rng(s + k).standard_normal((frames, 2048)).astype(np.float32)
                for k in range(300)
            ]
            for s in (0, 1000)
        )
        ready, first = timed(lambda x=x, y=y: FrechetBootstrap(x, y))
        counts = resamplings([str(k // 10) for k in range(300)], 50, 0)
        _, seconds = timed(lambda ready=ready, counts=counts: [ready.replicate(w, w) for w in counts])
        found[f"{frames} frames a clip"] = {
            "start": round(first, 2),
            "seconds_for_1000": round(seconds * 20, 1),
        }
    return found


def sync(arguments) -> dict:
    """The published network (random weights) on one clip of 3 s: syncnet_python's
    evaluation after its face tracker, against ours.
    """
    torch.manual_seed(0)
    net = SyncNetV2().eval()
    evaluator = SyncEvaluator(net, SyncNetOptions())
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "clip.mp4"
        write_video(
            path,
            texture(75, 224, 0),
            audio=np.random.default_rng(0).normal(0, 0.1, 75 * 640).astype(np.float32),
        )

        def reference():
            for k, frame in enumerate(read_frames(path)):
                cv2.imwrite(f"{place}/{k:06d}.jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            images = np.stack([cv2.imread(str(p)) for p in sorted(Path(place).glob("*.jpg"))], 3)
            video = torch.from_numpy(images[None].transpose(0, 3, 4, 1, 2).astype(float)).float()
            audio = (read_audio(path) * 32768).astype(np.int16)
            mfcc = torch.from_numpy(
                python_speech_features.mfcc(audio, 16000).T[None, None].astype(np.float32)
            )
            last, lips, heard = min(video.shape[2], len(audio) // 640) - 5, [], []
            for at in range(0, last, 20):
                starts = range(at, min(last, at + 20))
                lips.append(
                    net.netfclip(
                        net.netcnnlip(torch.cat([video[:, :, i : i + 5] for i in starts])).flatten(1)
                    ).detach()
                )
                heard.append(
                    net.netfcaud(
                        net.netcnnaud(torch.cat([mfcc[..., 4 * i : 4 * i + 20] for i in starts])).flatten(1)
                    ).detach()
                )
            lips, heard = torch.cat(lips), torch.nn.functional.pad(torch.cat(heard), (0, 0, 15, 15))
            rows = [
                torch.nn.functional.pairwise_distance(lips[[i]].repeat(31, 1), heard[i : i + 31])
                for i in range(last)
            ]
            mean = torch.stack(rows, 1).mean(1)
            return float(mean.median() - mean.min())

        them, their_seconds = timed(reference)
        us, our_seconds = timed(lambda: evaluator.score(read_frames(path), read_audio(path))["confidence"])
    return {
        "peer": {"value": them, "seconds": round(their_seconds, 2)},
        "ours": {"value": us, "seconds": round(our_seconds, 2)},
    }


def arithmetic(_) -> dict:
    """How near the two networks that most of the time goes to come to a plain matrix
    product: beyond it no batching helps, on either side.
    """
    images = torch.randn(16, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    windows, matrix = 255 * torch.rand(20, 3, 5, 224, 224), torch.randn(2048, 2048)
    alexnet = torchvision.models.alexnet(weights=None).features.eval().to(memory_format=torch.channels_last)
    syncnet = SyncNetV2().eval()
    works = {
        "matrix product": (lambda: matrix @ matrix, 1),
        "AlexNet at 256 pixels, an image": (lambda: alexnet(images), len(images)),
        "SyncNet, a window": (lambda: syncnet.embed_lips(windows), len(windows)),
    }
    found = {}
    with torch.inference_mode():
        for name, (work, items) in works.items():
            with FlopCounterMode(display=False) as counter:
                work()
            seconds = median(timed(work)[1] for _ in range(5))
            gflop = counter.get_total_flops() / 1e9
            found[name] = {
                "gflop": round(gflop / items, 2),
                "seconds": round(seconds / items, 4),
                "gflop_per_second": round(gflop / seconds, 1),
            }
    return found


PARTS = {part.__name__: part for part in (suite, frechet, bootstrap, sync, arithmetic)}


def main() -> None:
    if "--video" in sys.argv:
        import score_builds

        score_builds.main()
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("clips", 6), ("seconds", 4), ("size", 256), ("repeats", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "scores.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {name: PARTS[name](arguments) for name in arguments.only.split(",")}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
