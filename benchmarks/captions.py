"""How fast captions are written and texts encoded: python benchmarks/captions.py

Qwen VL one by one against batched, with the tiny random model of the tests (its size
shows the overhead, not the arithmetic of a real one); and text encoding with and
without deduplication. Prints medians over repeats.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "captions"))

import tiny_qwen
import torch
from transformers import T5Config, T5EncoderModel

from eadbench.captions.prompts import load_prompt
from eadbench.captions.wording import label_texts
from eadbench.core.emotions import EMOTIONS
from eadbench.zoo.kinds.qwen_vl import open_model
from eadbench.zoo.kinds.text_encoder import T5TextEncoder, make_tokenizer

CLIPS, FRAMES, SIZE, TOKENS, REPEATS = 32, 4, 128, 48, 3


def seconds(work) -> float:
    """Median CPU time of some runs, after one to warm up; wall time means little on a
    machine that does other work, too.
    """
    work()
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)


def captioning() -> None:
    """Clips per second by batch size."""
    processor = tiny_qwen.make_processor()
    with tempfile.TemporaryDirectory() as folder:
        model = open_model(str(tiny_qwen.save(Path(folder), tiny_qwen.make_model(processor), processor)))
    rng = np.random.default_rng(0)
    videos = [rng.integers(0, 255, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8) for _ in range(CLIPS)]
    dialogue = [("user", load_prompt("describe").text)]
    plain = None
    for batch in (1, 4, 8, 16):

        def work(batch: int = batch) -> None:
            for start in range(0, CLIPS, batch):
                part = videos[start : start + batch]
                model.answer(part, [dialogue] * len(part), TOKENS, [4.0] * len(part))

        rate = CLIPS / seconds(work)
        plain = plain or rate
        print(
            f"Qwen VL, tiny, batch {batch:2d}: {rate:6.2f} clips per CPU second, {rate / plain:.2f} times "
            "one by one"
        )


def encoding() -> None:
    """Texts per second of a corpus in which most clips share their text, as with label
    descriptions.
    """
    labels = [t for e in EMOTIONS for i in (1 / 3, 2 / 3, 1.0) for t in label_texts(e, i)]
    rng = np.random.default_rng(0)
    asked = [labels[k] for k in rng.integers(len(labels), size=1000)]
    torch.manual_seed(0)
    tokenizer = make_tokenizer(labels, 600)
    model = T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=128, d_kv=32, d_ff=256, num_layers=4, num_heads=4)
    )
    encoder = T5TextEncoder(model, tokenizer, "cpu")
    every = seconds(lambda: encoder.encode(asked))
    distinct = seconds(lambda: encoder.encode(sorted(set(asked))))
    print(
        f"text: {len(asked)} texts, {len(set(asked))} distinct: all {every:.2f} s, each once "
        f"{distinct:.2f} s, {every / distinct:.1f} times"
    )


if __name__ == "__main__":
    print(f"{torch.get_num_threads()} threads")
    captioning()
    encoding()
