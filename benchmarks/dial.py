"""Does the emotion follow the dial? Valence-arousal-intensity moves in equal steps from
one emotion to another; what does the classifier say?

    python benchmarks/dial.py --results results [--run full] [--clips 6] [--points 5] \
        [--pairs sad:happy,neutral:angry] [--guidance 4]

Test clips of a finished run, each rendered at every point with one noise, audio and
reference, without text. Printed: the mean probability of the second emotion against the
first, p2 / (p1 + p2), at each point; whether the means rise all the way; the clips'
mean rank correlation with it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from eadbench import zoo
from eadbench.core import schemas, seals
from eadbench.core.emotions import valence_arousal_intensity
from eadbench.core.progress import track
from eadbench.core.schemas import FeaturesRow
from eadbench.core.settings import load
from eadbench.core.tables import read_rows
from eadbench.features.store import FeatureStore
from eadbench.samples.pipeline import RenderClip, Sampler
from eadbench.samples.run import load_eadnet, load_vae
from eadbench.zoo.kinds.emotion import logits as logits_of

LONGEST = 40  # frames per clip


def test_clips(
    results: Path, store: FeatureStore, corpus: str, count: int
) -> list[tuple[FeaturesRow, FeaturesRow, np.ndarray]]:
    """Clips of different speakers, each with a neutral (or other) clip of the speaker
    as reference, and its landmarks.
    """
    table = results / "clips" / corpus / "clips.parquet"
    tracks = {clip.clip_id: clip.track for clip in read_rows(table, schemas.CLIPS)}
    neutral_first = sorted(store.split("test"), key=lambda row: row.emotion != "neutral")
    speakers: dict[str, list[FeaturesRow]] = {
        name: [] for name in sorted({row.speaker for row in neutral_first} - {None})
    }
    for row in neutral_first:
        if row.speaker is not None:
            speakers[row.speaker].append(row)
    pairs = [
        (rows[turn + 1], rows[0])
        for turn in range(count)
        for rows in speakers.values()
        if turn + 1 < len(rows)
    ]
    return [
        (row, reference, np.load(seals.checked(tracks[row.clip_id]))["landmarks"])
        for row, reference in pairs[:count]
    ]


def turn_dial(
    sampler: Sampler,
    evaluator,
    store: FeatureStore,
    clip: tuple,
    dial: list[tuple[float, ...]],
    pair: tuple[str, str],
) -> list[float]:
    """p2 / (p1 + p2) of one clip at every point."""
    row, reference, landmarks = clip
    frames = store.get(row, "frames")[:LONGEST].permute(0, 2, 3, 1).numpy()
    shown = store.get(reference, "frames").permute(0, 2, 3, 1).numpy()
    audio = store.get(row, "audio")[: 2 * len(frames)].float()
    a, b = (evaluator.classes.index(name) for name in pair)
    said = []
    for vai in dial:
        made = np.stack(
            list(sampler.render(RenderClip(row.clip_id, list(frames), len(frames), shown, audio, vai=vai)))
        )
        logits = logits_of(evaluator, made, landmarks[: len(made)])
        said.append(float(1 / (1 + np.exp(logits[a] - logits[b]))))
    return said


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--run", default="full")
    parser.add_argument("--corpus", default="demo_mead")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--points", type=int, default=5)
    parser.add_argument("--pairs", default="sad:happy,neutral:angry,neutral:surprise")
    parser.add_argument(
        "--guidance",
        type=float,
        help="of valence-arousal-intensity [config.yaml's text_guidance; so is the rest of the sampler]",
    )
    args = parser.parse_args()

    store = FeatureStore([args.results / "features" / args.corpus / "index.parquet"])
    run = load_eadnet(args.results / "training" / args.run)
    config = load(None, None).samples.sampler
    if args.guidance is not None:
        config = config.model_copy(update={"text_guidance": args.guidance})
    sampler = Sampler(run, load_vae(args.results / "zoo/vae", run), config, torch.device("cpu"), 1)
    evaluator = zoo.load(args.results / "zoo/emotion", "cpu")
    clips = test_clips(args.results, store, args.corpus, args.clips)
    found = {}
    for words in args.pairs.split(","):
        pair = tuple(words.split(":"))
        ends = [np.array(valence_arousal_intensity(name)) for name in pair]
        dial = [tuple((1 - x) * ends[0] + x * ends[1]) for x in np.linspace(0, 1, args.points)]
        said = np.array(
            [
                turn_dial(sampler, evaluator, store, clip, dial, pair)
                for clip in track(clips, words, total=len(clips))
            ]
        )
        mean = said.mean(0)
        ranks = [spearmanr(np.arange(args.points), row).statistic for row in said]
        found[words] = {
            "mean": mean.round(3).tolist(),
            "rises": bool((np.diff(mean) > 0).all()),
            "rank_correlation": float(np.nanmean(ranks)),
        }
        print(
            f"{words:20s} {' '.join(f'{m:.3f}' for m in mean)}  rises: {found[words]['rises']}  rank "
            f"correlation {np.nanmean(ranks):.2f}",
            flush=True,
        )
    out = Path(__file__).parent / "out" / "dial.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found | {"clips": len(clips)}, indent=1))


if __name__ == "__main__":
    main()
