"""Ways to harm a finished run, and which jobs read what was harmed."""

import os
import random
import re
from pathlib import Path

# Harmed file -> outputs of jobs that read it: one is deleted, so that its job runs
# again; and what else must go so that it starts from its inputs.
READERS: list[tuple[str, list[str], list[str]]] = [
    (r"studio/(?P<c>[^/]+)/.*", ["results/corpora/{c}/fetch.json"], ["results/corpora/{c}/raw"]),
    (
        r"corpora/(?P<c>[^/]+)/raw/.*",
        ["results/corpora/{c}/index.parquet", "results/clips/{c}/shards/{shard}/cut.parquet"],
        ["results/clips/{c}/shards"],
    ),
    (r"corpora/(?P<c>[^/]+)/(fetch\.json|sums\.sha256)", ["results/corpora/{c}/index.parquet"], []),
    (r"corpora/(?P<c>[^/]+)/index\.parquet", ["results/clips/{c}/shards/{shard}/cut.parquet"], []),
    (
        r"clips/(?P<c>[^/]+)/shards/[^/]+/\.cut\.done\.jsonl",
        ["results/clips/{c}/shards/{shard}/cut.parquet"],
        [],
    ),
    (
        r"clips/(?P<c>[^/]+)/shards/[^/]+/((videos|audio|tracks|corrected)/.*|sums\.sha256)",
        [
            "results/clips/{c}/shards/{shard}/checked.parquet",
            "results/features/{c}/shards/{shard}/features.parquet",
            "results/captions/{c}/shards/{shard}.parquet",
        ],
        [],
    ),
    (
        r"clips/(?P<c>[^/]+)/shards/[^/]+/cut\.parquet",
        ["results/clips/{c}/cut.parquet", "results/clips/{c}/shards/{shard}/checked.parquet"],
        [],
    ),
    (r"clips/(?P<c>[^/]+)/shards/[^/]+/checked\.parquet", ["results/clips/{c}/clips.parquet"], []),
    (r"clips/[^/]+/cut\.parquet", ["results/zoo/face_id/card.json"], []),
    (
        r"clips/(?P<c>[^/]+)/clips\.parquet",
        [
            "results/captions/{c}/shards/{shard}.parquet",
            "results/features/{c}/shards/{shard}/features.parquet",
            "results/samples/ground_truth/{c}/self/samples.parquet",
        ],
        [],
    ),
    (r"clips/[^/]+/(coverage\.json|sums\.sha256)", ["results/tables/scores.parquet"], []),
    (r"captions/(?P<c>[^/]+)/shards/[^/]+\.parquet", ["results/captions/{c}/written.parquet"], []),
    (r"captions/(?P<c>[^/]+)/written\.parquet", ["results/captions/{c}/captions.parquet"], []),
    (
        r"captions/(?P<c>[^/]+)/captions\.parquet",
        ["results/features/{c}/text.parquet", "results/captions/report.html"],
        [],
    ),
    (r"zoo/(vae|whisper)/.*", ["results/features/demo_mead/shards/{shard}/features.parquet"], []),
    (r"zoo/text_encoder/.*", ["results/features/demo_mead/text.parquet"], []),
    (r"zoo/sentence/.*", ["results/captions/demo_hdtf/captions.parquet"], []),
    (r"zoo/videomae/.*", ["results/training/no_text/card.json"], []),
    (
        r"zoo/syncnet_evaluator/.*",
        [
            "results/clips/demo_hdtf/shards/{shard}/checked.parquet",
            "results/scores/still/demo_mead/self/per_clip.parquet",
        ],
        [],
    ),
    (r"zoo/.*", ["results/scores/still/demo_mead/self/per_clip.parquet"], []),
    (
        r"features/demo_mead/shards/[^/]+/.*\.(safetensors|sha256)",
        ["results/training/syncnet/card.json", "results/training/stage1/card.json"],
        [],
    ),
    (r"features/(?P<c>[^/]+)/shards/[^/]+/.*", ["results/features/{c}/index.parquet"], []),
    (
        r"features/(?P<c>[^/]+)/(text|index|sums).*",
        ["results/samples/full/{c}/self/samples.parquet", "results/features/{c}/index.parquet"],
        [],
    ),
    (r"training/syncnet/.*", ["results/training/wav2lip/card.json"], []),
    (r"training/stage1/.*", ["results/training/no_text/card.json"], []),
    (r"training/(?P<m>[^/]+)/.*", ["results/samples/{m}/demo_mead/self/samples.parquet"], []),
    (
        r"samples/(?P<cell>.*/.*/[^/]+)/(samples\.parquet|sums\.sha256|videos/.*)",
        ["results/scores/{cell}/per_clip.parquet"],
        [],
    ),
    (r"scores/together/(?P<c>[^/]+)/.*", ["results/scores/still/{c}/self/per_clip.parquet"], []),
    (r"scores/(?P<cell>.*/.*/[^/]+)/summary\.parquet", ["results/tables/scores.parquet"], []),
    (r"scores/.*/confusion\.parquet", ["results/report/index.html"], []),
    (r"scores/(?P<cell>.*/.*/[^/]+)/.*", ["results/scores/{cell}/summary.parquet"], []),
    (r"tables/.*\.(parquet|json|sha256)", ["results/report/index.html"], []),
]
# Nobody reads these again: pages, prints and records for people.
FOR_PEOPLE = re.compile(
    r"(report/|bundle/|benchmarks/|.*provenance.*|.*report\.(html|json)|tables/.*\.(md|tex|csv|png|pdf)"
    r"|clips/[^/]+/list\.(parquet|csv)|corpora/leaks\.json|.*\.jsonl|.*\.log|\.gitkeep)"
)
SHARD = "0-of-1"


def intermediate_files(folder: Path) -> list[str]:
    """All files of a finished run that some job reads, relative to ``results``."""
    results = folder / "results"
    found = (path.relative_to(results).as_posix() for path in sorted(results.rglob("*")) if path.is_file())
    return [name for name in found if not FOR_PEOPLE.match(name)]


def spread(names: list[str], count: int, rng: random.Random) -> list[str]:
    """``count`` files drawn evenly over kinds: first a kind (stage, folder, suffix),
    then one of its files.
    """
    kinds: dict[tuple, list[str]] = {}
    for name in names:
        parts = Path(name).parts
        kinds.setdefault((parts[0], len(parts), parts[-2], Path(name).suffix), []).append(name)
    order = sorted(kinds)
    rng.shuffle(order)
    return [rng.choice(kinds[order[k % len(order)]]) for k in range(count)]


def reader_of(name: str, folder: Path, rng: random.Random) -> tuple[str, list[str]]:
    """An output to be made again by a job that reads the file, and what to remove with
    it.

    Raises:
        LookupError: If no reader is known.
    """
    for pattern, outputs, aside in READERS:
        if match := re.fullmatch(pattern, name):
            shard = next((part for part in Path(name).parts if "-of-" in part), SHARD).removesuffix(
                ".parquet"
            )
            fill = match.groupdict() | {"shard": shard}
            there = [
                output for output in (text.format(**fill) for text in outputs) if (folder / output).exists()
            ]
            if there:
                return rng.choice(there), [text.format(**fill) for text in aside]
    raise LookupError(f"no job is known to read {name}")


def truncate(path: Path, rng: random.Random) -> str:
    """Cut a file off at a random place; times stay, as after a silent fault of the
    disk.
    """
    size = path.stat().st_size
    left = rng.randrange(size) if size else 0
    _rewrite(path, path.read_bytes()[:left])
    return f"cut to {left} of {size} bytes"


def flip(path: Path, rng: random.Random) -> str:
    """Flip one bit of a file; times stay."""
    data = bytearray(path.read_bytes())
    at, bit = rng.randrange(len(data)), rng.randrange(8)
    data[at] ^= 1 << bit
    _rewrite(path, bytes(data))
    return f"bit {bit} of byte {at} of {len(data)} flipped"


def remove(path: Path, rng: random.Random) -> str:
    """Remove a file."""
    path.unlink()
    return "removed"


HARMS = {"truncate": truncate, "flip": flip, "remove": remove}


def _rewrite(path: Path, data: bytes) -> None:
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def remedy(output: str, folder: Path) -> Path | None:
    """The file or folder that a message tells to delete."""
    found = re.search(r"hint:\s+delete (the file|\S+) and", output)
    if not found:
        return None
    if found.group(1) == "the file":  # "delete the file": the one that it names
        found = re.search(r"where:\s+(\S+)", output)
    return folder / found.group(1) if found else None


def named(output: str, path: str) -> bool:
    """Whether a message of a failed run names the file."""
    name = Path(path).name
    told = re.compile(r"where:|[Ee]rror|damaged|missing|gone|changed")
    return any(name in line and told.search(line) for line in output.splitlines())
