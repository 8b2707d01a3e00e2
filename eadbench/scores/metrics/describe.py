"""Metrics in words: for the page's column heads, ``docs/metrics.md`` and
``eadbench scores list``. One text for all.
"""

from eadbench.scores.metrics import METRICS
from eadbench.scores.metrics.base import Metric
from eadbench.scores.names import OWN

EVALUATOR_NAMES = {
    "sync": "SyncNet",
    "emotion": "Emotion-FAN, a classifier of emotions",
    "fid": "Inception-v3",
    "fvd": "I3D",
    "lpips": "LPIPS (AlexNet)",
    "face_id": "ArcFace, a network that recognises faces",
    "sync2": "LatentSync's StableSyncNet",
    "cdfvd": "VideoMAE v2 (giant)",
    "jedi": "V-JEPA (huge) with its probe",
    "aesthetics": "TOPIQ-IAA (Swin), by pyiqa",
    "mouth_quality": "MUSIQ (KonIQ), by pyiqa",
    "face_quality": "TOPIQ for faces (ResNet-50), by pyiqa",
}
MESH, FORMULA = "MediaPipe's face mesh and a formula", "a formula, no network"
HEAD = """# Metrics

Every metric of the project, written by `make docs` from the metrics themselves; do not
edit by hand. `eadbench scores list` prints the same, with the metrics of other
installed packages.

**May I cite a value?** Yes, if all of these hold; the report page says for each table
whether they do.

- The corpus is real: not one of the demo's, whose people are drawn and whose voices are
  synthetic.
- The evaluator is the published one. One *trained here* or with *random features*
  compares the methods of one results folder with each other and with nothing else.
- It is quoted with its interval, its number of clips, and what it was measured with
  (network, hash of its weights, resolution, variant): the column heads and
  `scores.parquet` hold them. Values that differ in these do not compare.

`eadbench tables cite` prints the BibTeX of everything that a table holds. *Reacts to*
says what else moves a value by its definition; [audit.md](audit.md) measures that on
clips of yours. [scoring.md](scoring.md) measures your own videos, and
[reference_code.md](reference_code.md) names what differs from published code.

| metric | name in the tables | better | values | evaluator | compares with |
|---|---|---|---|---|---|
"""


def better(metric: type[Metric]) -> str:
    """Which way is better, in words."""
    if metric.ideal is not None:
        return f"best at {metric.ideal:g}"
    return {"up": "higher", "down": "lower", "none": "neither: a description"}[metric.direction]


def values(metric: type[Metric]) -> str:
    """Range and unit, e.g. ``0 to 100 dB``."""
    low, high = metric.range
    if low is not None and high is not None:
        bounds = f"{low:g} to {high:g}"
    elif low is not None:
        bounds = f"from {low:g}"
    elif high is not None:
        bounds = f"up to {high:g}"
    else:
        bounds = "any number"
    return f"{bounds} {metric.unit}".strip()


def measured_by(metric: type[Metric]) -> str:
    """What measures: a network, the face mesh or a formula."""
    return EVALUATOR_NAMES.get(metric.evaluator, metric.evaluator) or (MESH if metric.landmarks else FORMULA)


def compares(metric: type[Metric]) -> str:
    """What a video is compared with."""
    if metric.elastic:
        return "the real clip as a sequence: what corresponds may lie half a second apart"
    if metric.aligned:
        return "the real clip, frame by frame; not where a method animates one image"
    if metric.paired:
        return "the real clip, frame by frame"
    if metric.kind == "set" and metric.evaluator in ("", "fid", "fvd", "cdfvd", "jedi"):
        return "all real clips together"
    if metric.evaluator == "emotion":
        return "the emotion asked for"
    if "real" in metric.needs():
        return "the real clip whose face is shown, as a whole"
    return "its audio" if "audio" in metric.needs() else "nothing: looks at the video alone"


def facts(metric: type[Metric]) -> dict[str, str]:
    """Everything that a reader should know of a metric, by heading."""
    texts = {
        "Definition": metric.meaning,
        "Better": better(metric),
        "Values": values(metric),
        "Evaluator": measured_by(metric),
        "Compares with": compares(metric),
        "Reacts to": metric.reacts,
        "Source": metric.source,
    }
    return {heading: text for heading, text in texts.items() if text}


def markdown() -> str:
    """``docs/metrics.md``: the package's own metrics."""
    own = {name: METRICS[name] for name in OWN}
    rows = [
        f"| [`{name}`](#{name}) | {m.label} | {better(m)} | {values(m)} | {measured_by(m)} | {compares(m)} |"
        for name, m in own.items()
    ]
    parts = [HEAD + "\n".join(rows)]
    for name, metric in own.items():
        items = [f"- {heading}: {_escaped(text)}." for heading, text in facts(metric).items()]
        if metric.cites:
            items.append(f"- Cite: {', '.join(f'`{key}`' for key in metric.cites)}.")
        parts.append("\n".join([f"## {name}", "", f"In tables: {metric.label}.", "", *items]))
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    return text.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")
