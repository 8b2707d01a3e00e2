"""Aggregate 200 cells with 1,000,000 per-clip rows, and make a page of 30 methods x 500
clips; print seconds and peak memory.

    python benchmarks/tables.py [--cells 200] [--rows 1000000]

Target: tables in under 30 s and 2 GiB on 2 cores. Each part runs in a process
of its own, so that its peak memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from eadbench.core import schemas
from eadbench.core.tables import write_table
from eadbench.scores.metrics import CLIP_METRICS

METRICS = [*[m for m in CLIP_METRICS if m != "acc_emo"][:19], "acc_emo"]
EMOTIONS = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise", "contempt")
SHOWN = ["ssim", "fid", "sync", "acc_emo", "jitter_ratio", "motion_energy_ratio"]


def make_cells(
    folder: Path, methods: int, corpora: int, clips: int, samples: bool = False
) -> dict[str, list[Path]]:
    """Write random scores of ``methods x corpora`` cells with ``clips`` clips of 20
    speakers and 20 metrics each.
    """
    paths: dict[str, list[Path]] = {"summary": [], "per_clip": [], "samples": []}
    names = np.array([f"S{k % 20:02d}_{k:04d}-000" for k in range(clips)])
    for c in range(corpora):
        for m in range(methods):
            rng = np.random.default_rng([c, m])
            cell = {"method": f"m{m:02d}", "corpus": f"corpus{c}", "protocol": "self"}
            out = folder / "scores" / cell["method"] / cell["corpus"] / "self"
            frame = pd.DataFrame(
                {
                    **cell,
                    "clip_id": np.tile(names, len(METRICS)),
                    "speaker": [n[:3] for n in names] * len(METRICS),
                    "emotion": [EMOTIONS[k % 8] for k in range(clips)] * len(METRICS),
                    "metric": np.repeat(METRICS, clips),
                    "value": rng.normal(1 + m / 100, 0.2, clips * len(METRICS)),
                    "extractor": "x",
                    "weights_sha256": "ab" * 32,
                    "resolution": 256,
                    "frames": 100,
                    "status": "kept",
                    "reason": "",
                }
            )
            write_table(out / "per_clip.parquet", frame, schemas.PER_CLIP)
            rows = [
                cell
                | {
                    "metric": k,
                    "value": 1 + m / 100,
                    "low": 0.9,
                    "high": 1.6,
                    "n": clips,
                    "n_missing": 0,
                    "extractor": "x",
                    "weights_sha256": "ab" * 32,
                    "resolution": 256,
                    "frames": 100,
                    "warning": "",
                }
                for k in (*METRICS, "fid")
            ]
            write_table(out / "summary.parquet", rows, schemas.SUMMARY)
            paths["summary"].append(out / "summary.parquet")
            paths["per_clip"].append(out / "per_clip.parquet")
            if samples:
                paths["samples"].append(_samples(folder, cell, names))
    return paths


def _samples(folder: Path, cell: dict, names: np.ndarray) -> Path:
    """Rows with small stand-in files: the page links them and does not look inside."""
    out = folder / "samples" / cell["method"] / cell["corpus"] / "self"
    (out / "videos").mkdir(parents=True)
    rows = []
    for k, name in enumerate(names):
        (out / "videos" / f"{name}.mp4").write_bytes(b"stand-in")
        rows.append(
            cell
            | {
                "clip_id": name,
                "speaker": name[:3],
                "target_emotion": EMOTIONS[k % 8],
                "video": f"videos/{name}.mp4",
                "frames": 100,
                "seconds": 1.0,
                "realtime_factor": 0.5,
                "run_hash": "ab",
                "status": "kept",
                "reason": "",
            }
        )
    write_table(out / "samples.parquet", rows, schemas.SAMPLES)
    return out / "samples.parquet"


def settings(methods: int, corpora: int) -> dict:
    """A section with a complete grid of three modules over the first eight methods."""
    grid = {f"m{i:02d}": {"stda": bool(i & 1), "tfrm": bool(i & 2), "text": bool(i & 4)} for i in range(8)}
    names = [f"corpus{c}" for c in range(corpora)]
    return {
        "methods": [f"m{m:02d}" for m in range(methods)],
        "main": {"title": "Main", "corpora": names, "metrics": SHOWN},
        "ablation": {
            "title": "Ablation",
            "corpora": names[:1],
            "metrics": SHOWN,
            "reference": "m07",
            "factors": grid,
        },
    }


def measured(what: str, code: str, folder: Path) -> dict:
    """Run code in a process of its own; its wall time and peak memory."""
    tail = "import resource; print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    started = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tail}", str(folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    seconds = time.perf_counter() - started
    if run.returncode:
        sys.exit(run.stderr)
    peak = int(run.stdout.split("PEAK")[-1]) / 1024
    print(f"{what}: {seconds:.1f} s, peak {peak:.0f} MiB", flush=True)
    return {"what": what, "seconds": round(seconds, 2), "peak_mib": round(peak)}


BUILD = """
import json, sys
from pathlib import Path
from eadbench.tables.build import TableInputs, build
from eadbench.tables.config import TablesConfig
folder = Path(sys.argv[1])
found = lambda pattern: sorted(folder.glob(pattern))
kinds = ("scores/*/*/*/summary.parquet", "scores/*/*/*/per_clip.parquet", "samples/*/*/*/samples.parquet")
config = TablesConfig.model_validate(json.loads((folder / "settings.json").read_text()))
build(TableInputs(*map(found, kinds)), config, 1, folder / "tables" / "scores.parquet")
"""
REPORT = """
import sys
from pathlib import Path
from eadbench.tables import gallery
from eadbench.tables.report import report
gallery.make_figures = lambda *a: []  # the stand-in videos hold no frames
folder = Path(sys.argv[1])
report(folder / "tables", folder, folder / "report" / "index.html")
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="write the page here and keep it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "wide"
        corpora = 5
        clips = args.rows // args.cells // len(METRICS)
        make_cells(folder, args.cells // corpora, corpora, clips)
        (folder / "settings.json").write_text(json.dumps(settings(args.cells // corpora, corpora)))
        print(f"{args.cells} cells, {args.cells * clips * len(METRICS):,} per-clip rows")
        found = [measured("tables build", BUILD, folder)]

        folder = args.keep or Path(scratch) / "page"
        make_cells(folder, 30, 1, 500, samples=True)
        (folder / "settings.json").write_text(json.dumps(settings(30, 1)))
        print("page of 30 methods x 500 clips")
        found += [measured("tables build (page)", BUILD, folder), measured("tables report", REPORT, folder)]
        size = (folder / "report" / "report_assets" / "data.js").stat().st_size
        print(
            f"data.js: {size / 2**20:.1f} MiB; index.html: "
            f"{(folder / 'report' / 'index.html').stat().st_size / 2**20:.2f} MiB"
        )
    own = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        json.dumps({"parts": found, "data_js_mib": round(size / 2**20, 1), "largest_child_mib": round(own)})
    )


if __name__ == "__main__":
    main()
