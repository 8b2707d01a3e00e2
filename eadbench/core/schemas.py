"""Every table that passes between stages: the data dictionary of the project."""

from collections.abc import Sequence

import pyarrow as pa

from eadbench.core.tables import Column, Table

STR, INT, F64, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()

STATUS = (
    Column(
        "status",
        STR,
        "`kept`, `dropped` (below a threshold of the config) or `failed` (could not be processed)",
        nullable=False,
    ),
    Column("reason", STR, "why it was dropped or failed; empty when kept", nullable=False),
)
LABELS = (
    Column("corpus", STR, "name of the corpus in the config", nullable=False),
    Column("speaker", STR, "speaker id, unique within the corpus"),
    Column("sex", STR, "`female`, `male` or null when unknown"),
    Column("emotion", STR, "emotion in the common vocabulary, null when unlabelled"),
    Column("emotion_raw", STR, "the corpus's own word for it"),
    Column("level", INT, "intensity level as the corpus counts it"),
    Column("intensity", F64, "intensity in (0, 1]; null when unknown"),
    Column("view", STR, "camera view, `front` unless the corpus says otherwise"),
    Column("sentence", STR, "sentence id or text as the corpus gives it"),
    Column("split", STR, "`train`, `val` or `test`; speaker-disjoint"),
)
SIGNATURE = (
    Column("extractor", STR, "id of the network or formula that measured", nullable=False),
    Column("weights_sha256", STR, "sha256 of the extractor's weights; empty for a formula", nullable=False),
    Column("resolution", INT, "side in pixels of the frames as measured; null for audio-only measures"),
)

INDEX = Table(
    "index",
    "one recording of a corpus",
    (
        Column(
            "recording_id", STR, "stable id, unique within the corpus, safe as a file name", nullable=False
        ),
        *LABELS,
        Column("source", STR, "video file relative to this table's folder, or archive", path=True),
        Column("member", STR, "member inside the archive; null for a plain file"),
        Column(
            "audio_source",
            STR,
            "separate audio file or archive; null when the video carries the audio",
            path=True,
        ),
        Column("audio_member", STR, "member inside the audio archive"),
        Column("start", F64, "start of the annotated stretch in seconds; null for the whole file"),
        Column("end", F64, "end of the annotated stretch in seconds"),
        Column("crop_x", INT, "left edge of the listed face crop in source pixels"),
        Column("crop_y", INT, "top edge of the listed face crop in source pixels"),
        Column("crop_w", INT, "width of the listed face crop"),
        Column("crop_h", INT, "height of the listed face crop"),
        Column("duration", F64, "seconds of video as probed"),
        Column("fps", F64, "average frame rate as probed"),
        Column("width", INT, "width in pixels after rotation"),
        Column("height", INT, "height in pixels after rotation"),
        Column("codec", STR, "video codec"),
        Column("sample_rate", INT, "audio sample rate in Hz; null without audio"),
        Column("sha256", STR, "sha256 of the source file, where hashed"),
        Column(
            "look",
            pa.binary(),
            "first frame, for finding duplicates: 64-bit difference hash (8 bytes) and 16 x 16 grey "
            "levels; null for a uniform one",
        ),
        *STATUS,
    ),
    version=2,
    key=("recording_id",),
)

CLIPS = Table(
    "clips",
    "one candidate clip cut from a recording",
    (
        Column("clip_id", STR, "`{recording_id}-{k:03d}`, unique within the corpus", nullable=False),
        Column("recording_id", STR, "recording that it was cut from", nullable=False),
        *LABELS,
        Column("video", STR, "aligned video, square, 25 fps", path=True),
        Column("audio", STR, "16 kHz mono wav of the same stretch", path=True),
        Column("track", STR, "npz with the way back to the source frames and the landmarks", path=True),
        Column("source", STR, "the source video", path=True),
        Column("frames", INT, "frames of the aligned video"),
        Column("fps", F64, "frame rate of the aligned video"),
        Column("size", INT, "side of the aligned video in pixels"),
        Column("source_start", F64, "start in the source, seconds"),
        Column("source_end", F64, "end in the source, seconds"),
        Column("detection_rate", F64, "share of frames in which the face was found, 0..1"),
        Column("faces", F64, "mean number of faces found by the detector"),
        Column("face_size", F64, "median face height in source pixels"),
        Column("yaw", F64, "median absolute yaw in degrees"),
        Column(
            "jitter",
            F64,
            "residual motion of the aligner: RMS second difference of the stable landmarks, pixels per "
            "frame squared",
        ),
        Column("sharpness", F64, "variance of the Laplacian of the face, grey levels squared"),
        Column("brightness", F64, "mean grey level of the face, 0..255"),
        Column(
            "occlusion",
            F64,
            "share of frames whose landmarks look occluded, 0..1; null where the landmarker cannot tell",
        ),
        Column(
            "av_offset",
            F64,
            "audio-video offset in frames by the SyncNet evaluator, positive when audio leads",
        ),
        Column("sync_confidence", F64, "SyncNet confidence at that offset"),
        Column("offset_corrected", F64, "frames by which the audio was moved"),
        *STATUS,
        Column(
            "note",
            STR,
            "what was done to the recording to read it: tracks chosen, holes, damage; null if nothing",
        ),
    ),
    key=("clip_id",),
    version=2,
)

CLIP_LIST = Table(
    "clip_list",
    "one clip of the test or validation split, or one recording there of which no clip was kept",
    (
        Column("corpus", STR, "name of the corpus in the config", nullable=False),
        Column("recording_id", STR, "the recording", nullable=False),
        Column("split", STR, "`test` or `val`", nullable=False),
        Column(
            "start",
            F64,
            "start in the source in seconds; of the annotated stretch where there is no clip; null for the "
            "whole file",
        ),
        Column("end", F64, "end in the source in seconds"),
        Column("clip_id", STR, "the clip; null where none was kept"),
        Column("frames", INT, "its frames"),
        Column(
            "frames_sha256",
            STR,
            "sha256 of all its decoded frames as stored, so that two lists tell whether they hold the same "
            "clip",
        ),
        *STATUS,
    ),
    key=("recording_id", "clip_id"),
)

CAPTIONS = Table(
    "captions",
    "one clip's description of emotion",
    (
        Column("clip_id", STR, "clip described", nullable=False),
        Column("corpus", STR, "its corpus", nullable=False),
        Column("speaker", STR, "its speaker"),
        Column("emotion", STR, "its label, for reports only"),
        Column("split", STR, "its split"),
        Column("captioner", STR, "model id with revision, `measured`, ...", nullable=False),
        Column("prompt_version", STR, "version of the prompt file"),
        Column("caption", STR, "the description; null if none could be had"),
        Column("caption_emotion", STR, "emotion that the captioner named"),
        Column("caption_intensity", F64, "intensity that the captioner gave, 0..1"),
        Column("confidence", F64, "the captioner's confidence, 0..1"),
        Column("similarity", F64, "cosine similarity of the compared embeddings, -1..1"),
        Column("similarity_kind", STR, "what was compared: `text-label`, `text-image` or `text-audio`"),
        Column("embedder", STR, "model id of the embedder and sha256 of its weights"),
        Column("threshold", F64, "similarity from which clips were kept"),
        Column(
            "swap_clip",
            STR,
            "clip of another emotion whose caption was tried on this one, as a check of the filter",
        ),
        Column("swap_similarity", F64, "similarity with that wrong caption"),
        Column(
            "swap_held_out",
            BOOL,
            "whether the clip belongs to the share of clips whose captions the held-out check swaps",
        ),
        *STATUS,
    ),
    key=("clip_id",),
)

TEXTS = Table(
    "texts",
    "one distinct text whose encoding is stored",
    (
        Column("text_id", STR, "short hash of the text, key in the safetensors file", nullable=False),
        Column(
            "text",
            STR,
            "the text: a caption, a label's description, or the empty text (no condition)",
            nullable=False,
        ),
        Column("tokens", INT, "tokens of its encoding", nullable=False),
        Column("file", STR, "safetensors file with `text_id`: `(L,D)` float16", nullable=False, path=True),
    ),
    key=("text_id",),
)

FEATURES = Table(
    "features",
    "one clip whose features are stored",
    (
        Column("clip_id", STR, "the clip", nullable=False),
        *LABELS,
        Column("frames", INT, "video frames with features"),
        Column("shard", STR, "folder of the safetensors shard", path=True),
        Column("text_id", STR, "key of the caption in text.safetensors; null without caption"),
        Column("trains", BOOL, "whether the clip may train the model: train split, caption kept"),
        *STATUS,
    ),
    key=("clip_id",),
)

HISTORY = Table(
    "history",
    "one logged step of a training run",
    (
        Column("run", STR, "name of the run", nullable=False),
        Column("step", INT, "optimiser step, from 1", nullable=False),
        Column("split", STR, "`train` or `val`", nullable=False),
        Column(
            "quantity",
            STR,
            "loss term, learning rate, gradient norm, accuracy, share of time waited for data ...",
            nullable=False,
        ),
        Column("value", F64, "its value, mean since the last log", nullable=False),
    ),
    key=("run", "split", "quantity", "step"),
)

SAMPLES = Table(
    "samples",
    "one test clip as a method rendered it",
    (
        Column("clip_id", STR, "the clip whose face is shown", nullable=False),
        Column("method", STR, "method of the config", nullable=False),
        Column("corpus", STR, "corpus of the clip", nullable=False),
        Column(
            "protocol",
            STR,
            "`self` (own audio), `cross` (another clip's audio), `cross_emotion`, `silent` (silence), "
            "`dial_0.2` to `dial_1` (own audio, another emotion at that intensity)",
            nullable=False,
        ),
        Column("driving_clip", STR, "clip whose audio drives; null for silence"),
        Column("reference_clip", STR, "clip that the identity reference is from"),
        Column("speaker", STR, "speaker shown"),
        Column("target_emotion", STR, "emotion asked for"),
        Column("target_intensity", F64, "intensity asked for"),
        Column(
            "caption_source",
            STR,
            "`target`, `label`, `other_clip`, `same_speaker` or null when no text was used",
        ),
        Column("video", STR, "the result, aligned, same size and rate as the clip", path=True),
        Column("frames", INT, "frames of the result after the alignment rule"),
        Column("frames_raw", INT, "frames that the method itself wrote"),
        Column("seconds", F64, "time to render, seconds"),
        Column("realtime_factor", F64, "seconds of work per second of video"),
        Column("peak_mb", F64, "peak memory in MiB, where measured"),
        Column("run_hash", STR, "sha256 of the checkpoint or of the recipe"),
        *STATUS,
    ),
    key=("clip_id", "method", "corpus", "protocol"),
)

CELL = (
    Column("method", STR, "method of the config", nullable=False),
    Column("corpus", STR, "corpus of the clips", nullable=False),
    Column("protocol", STR, "driving protocol", nullable=False),
)
CELL_KEY = tuple(column.name for column in CELL)

PER_CLIP = Table(
    "per_clip",
    "one metric of one clip",
    (
        *CELL,
        Column("clip_id", STR, "clip measured", nullable=False),
        Column("speaker", STR, "its speaker"),
        Column("emotion", STR, "emotion asked for"),
        Column("metric", STR, "name of the metric", nullable=False),
        Column("value", F64, "its value; null if it could not be measured"),
        *SIGNATURE,
        Column("frames", INT, "frames that went in"),
        *STATUS,
        Column("note", STR, "what was done to the video before: resampled, resized, cut; null if nothing"),
    ),
    key=(*CELL_KEY, "clip_id", "metric"),
)

SUMMARY = Table(
    "summary",
    "one metric of a method on a corpus",
    (
        *CELL,
        Column("metric", STR, "name of the metric", nullable=False),
        Column("value", F64, "the value; null if nothing could be measured"),
        Column("low", F64, "lower end of the 95 % interval (bootstrap over clips, clustered by speaker)"),
        Column("high", F64, "upper end of the 95 % interval"),
        Column("n", INT, "clips that went in", nullable=False),
        Column("n_missing", INT, "clips that should have and did not", nullable=False),
        *SIGNATURE,
        Column("frames", INT, "frames or windows that went in"),
        Column(
            "variant",
            STR,
            "protocol where several exist, e.g. `stylegan-v`; crop protocol of Sync; frames per clip where "
            "not all count",
        ),
        Column("warning", STR, "what to know before quoting the value; empty if nothing", nullable=False),
    ),
    key=(*CELL_KEY, "metric", "variant"),
)

CONFUSION = Table(
    "confusion",
    "one emotion asked for and one that the evaluator named",
    (
        *CELL,
        Column("asked", STR, "emotion asked for", nullable=False),
        Column("judged", STR, "emotion that the evaluator named", nullable=False),
        Column("n", INT, "clips of the one that were judged to be the other", nullable=False),
    ),
    key=(*CELL_KEY, "asked", "judged"),
)

SCORES = Table(
    "scores",
    "one value of the benchmark",
    (
        *SUMMARY.columns,
        Column(
            "direction", STR, "`up` when higher is better, `down` when lower is, `none` for a description"
        ),
        Column("reference_method", STR, "method that the paired test compares with"),
        Column("p_value", F64, "paired test against that method over the common clips"),
        Column("n_common", INT, "clips in common with that method"),
        Column("seed", INT, "seed of the config", nullable=False),
        Column("run_hash", STR, "sha256 of the checkpoint or recipe behind the method"),
        Column("commit", STR, "commit of eadbench", nullable=False),
    ),
    key=(*CELL_KEY, "metric", "variant"),
)

# Of a mean over clips, see `tables.breakdown.mean_interval`.
BY_SPEAKER = (
    Column(
        "low",
        F64,
        "lower end of the 95 % interval (standard error clustered by speaker, Student's t; over clips "
        "where there is one speaker); null for one clip",
    ),
    Column("high", F64, "upper end of that interval"),
    Column("n", INT, "clips that went in", nullable=False),
    Column("speakers", INT, "their speakers; a clip of an unknown one counts as one", nullable=False),
)

BREAKDOWN = Table(
    "breakdown",
    "mean of one per-clip metric over the clips of one emotion, speaker or other group",
    (
        *CELL,
        Column("metric", STR, "name of the metric", nullable=False),
        Column(
            "by",
            STR,
            "`emotion`, `speaker`, or another column of the clips table or of the labels",
            nullable=False,
        ),
        Column(
            "level",
            STR,
            "the emotion, speaker, ...; of numbers with more than ten distinct values, the ends of a third",
            nullable=False,
        ),
        Column("value", F64, "mean over its clips"),
        *BY_SPEAKER,
        Column("warning", STR, "few clips, or fewer than three speakers; empty if neither", nullable=False),
    ),
    key=(*CELL_KEY, "metric", "by", "level"),
    version=2,
)

DIAL = Table(
    "dial",
    "how one method responds to the intensity asked for (protocol `dial`)",
    (
        *CELL[:2],
        Column(
            "quantity",
            STR,
            "`probability` that the evaluator gives the emotion asked for; `va_error`, distance to the "
            "valence and arousal asked for; `slope` of the probability per unit of intensity; `rising`, "
            "share of clips whose probability never falls",
            nullable=False,
        ),
        Column("intensity", F64, "intensity asked for; null for what is of all of them"),
        Column("value", F64, "mean over clips", nullable=False),
        *BY_SPEAKER,
    ),
    key=("method", "corpus", "quantity", "intensity"),
)

EFFECTS = Table(
    "effects",
    "the change that a module, or a combination of modules, makes to one metric",
    (
        Column("corpus", STR, "corpus of the clips", nullable=False),
        Column("protocol", STR, "driving protocol", nullable=False),
        Column("metric", STR, "name of the metric", nullable=False),
        Column(
            "kind",
            STR,
            "`main` (mean over all states of the other modules), `interaction` or `given` (others in one "
            "fixed state)",
            nullable=False,
        ),
        Column("effect", STR, "the module, or modules joined by `:` for an interaction", nullable=False),
        Column(
            "given", STR, "modules that were on, joined by `+`; empty for none; null unless kind is `given`"
        ),
        Column("by", STR, "`all`, `emotion` or `speaker`", nullable=False),
        Column("level", STR, "the emotion or speaker; `all` for all clips", nullable=False),
        Column(
            "value",
            F64,
            "with the module minus without it, in the metric's unit; an interaction of two is half the "
            "change that one makes to the other's effect",
        ),
        Column("low", F64, "lower end of the 95 % interval"),
        Column("high", F64, "upper end of the 95 % interval"),
        Column(
            "interval",
            STR,
            "how it was had: `bootstrap` over clips clustered by speaker, or `mover` from the methods' own "
            "intervals",
            nullable=False,
        ),
        Column(
            "p_value",
            F64,
            "Wilcoxon signed-rank test over the clips that all runs have; null for a metric of sets",
        ),
        Column(
            "p_holm",
            F64,
            "the same, adjusted by Holm over the effects and metrics of the same corpus, kind and grouping",
        ),
        Column("n", INT, "clips in common", nullable=False),
        Column("speakers", INT, "their speakers"),
        Column(
            "direction", STR, "`up` when higher is better, `down` when lower is, `none` for a description"
        ),
        Column(
            "verdict",
            STR,
            "`better`, `worse`, `changed` (no direction), `none detected` or `too few clips`",
            nullable=False,
        ),
        Column("sentence", STR, "the finding in words", nullable=False),
    ),
    key=("corpus", "protocol", "metric", "kind", "effect", "given", "by", "level"),
)

STUDY = Table(
    "study",
    "an effect of the factorial study, over seeds and speakers",
    (
        Column("hypothesis", STR, "name of the confirmatory hypothesis; null for what is explored"),
        Column("protocol", STR, "driving protocol", nullable=False),
        Column("metric", STR, "name of the metric", nullable=False),
        Column(
            "direction",
            STR,
            "`up` when higher is better, `down` when lower is, `none` for a description",
            nullable=False,
        ),
        Column(
            "kind",
            STR,
            "`main` (mean over all states of the other modules), `interaction` or `reading` (a module built "
            "in another way, everything on)",
            nullable=False,
        ),
        Column("effect", STR, "the module, modules joined by `:`, or the reading", nullable=False),
        Column("by", STR, "`all` or `emotion`", nullable=False),
        Column("level", STR, "the emotion; `all` for all clips", nullable=False),
        Column(
            "value",
            F64,
            "with the module minus without it, or the reading minus the complete cell; in the metric's unit",
            nullable=False,
        ),
        Column("low", F64, "lower end of the 95 % interval", nullable=False),
        Column("high", F64, "upper end of the 95 % interval", nullable=False),
        Column("error", F64, "standard error", nullable=False),
        Column("freedom", F64, "degrees of freedom of the t distribution (Satterthwaite)", nullable=False),
        Column("p_value", F64, "two-sided, of no effect", nullable=False),
        Column("p_holm", F64, "the same, adjusted by Holm over all hypotheses; null for what is explored"),
        Column(
            "standardised",
            F64,
            "value over the standard deviation between clips within a method; null for a metric of sets",
        ),
        Column("seed_sd", F64, "standard deviation of the effect between seeds", nullable=False),
        Column(
            "speaker_sd",
            F64,
            "standard deviation of the effect between speakers; 0 for a metric of sets",
            nullable=False,
        ),
        Column("seeds", INT, "trainings of each cell", nullable=False),
        Column("speakers", INT, "speakers of the clips; 0 for a metric of sets", nullable=False),
        Column("clips", INT, "clips that every method has; 0 for a metric of sets", nullable=False),
        Column(
            "detectable",
            F64,
            "smallest true effect that this design would find with the power of the config",
            nullable=False,
        ),
        Column("claim", STR, "`up` or `down`: what is claimed; null for what is explored"),
        Column("smallest", F64, "smallest effect that would matter, as fixed before the run"),
        Column("verdict", STR, "`confirmed`, `refuted` or `undecided`; null for what is explored"),
    ),
    key=("hypothesis", "protocol", "metric", "kind", "effect", "by", "level"),
)

DISTORTED = (
    Column("distortion", STR, "name of the distortion", nullable=False),
    Column("metric", STR, "name of the metric", nullable=False),
    Column("variant", STR, "protocol of the metric where several exist; empty otherwise", nullable=False),
)

AUDIT_LEVELS = Table(
    "audit_levels",
    "one metric at one level of one distortion",
    (
        *DISTORTED,
        Column("level", INT, "1 (weak) to 5 (strong)", nullable=False),
        Column("amount", F64, "strength at that level, in `unit`", nullable=False),
        Column("unit", STR, "unit of `amount`", nullable=False),
        Column("value", F64, "mean over speakers' means, or the value of the set", nullable=False),
        Column("zero", F64, "the same clips' value without distortion", nullable=False),
        Column("change", F64, "`value` minus `zero`", nullable=False),
        Column(
            "low",
            F64,
            "lower end of the 95 % interval of the change (Student's t over the speakers' means)",
        ),
        Column("high", F64, "upper end of that interval"),
        Column(
            "told",
            BOOL,
            "whether the change is detected: the interval leaves out 0; of a metric that needs no audio "
            "under a distortion of the audio, whether it changed at all",
            nullable=False,
        ),
        Column("n", INT, "clips that went in", nullable=False),
        Column("speakers", INT, "their speakers; null for a metric of sets"),
    ),
    key=("distortion", "metric", "variant", "level"),
)

AUDIT = Table(
    "audit",
    "how one metric reacts to one distortion",
    (
        *DISTORTED,
        Column(
            "rho",
            F64,
            "Spearman's rank correlation of level and value, mean over speakers; of the set's values for a "
            "metric of sets",
        ),
        Column("rho_low", F64, "lower end of its 95 % interval over speakers; null for a metric of sets"),
        Column("rho_high", F64, "upper end of that interval"),
        Column(
            "smallest",
            F64,
            "smallest amount from which on every level is detected; null if there is none",
        ),
        Column("smallest_level", INT, "its level, 1 to 5"),
        Column(
            "size",
            F64,
            "largest change over the metric's largest change by any distortion that it is meant to show",
        ),
        Column("unit", STR, "unit of `smallest`", nullable=False),
        Column(
            "must_stay",
            BOOL,
            "whether the distortion leaves what the metric claims to measure as it is",
            nullable=False,
        ),
        Column(
            "finding",
            STR,
            "`reacts`, `stays` or `false response` (moves although it must not)",
            nullable=False,
        ),
        Column("n", INT, "clips at least", nullable=False),
        Column("speakers", INT, "their speakers; null for a metric of sets"),
    ),
    key=("distortion", "metric", "variant"),
)

SPEED = Table(
    "speed",
    "how fast a method rendered the clips of a corpus",
    (
        *CELL,
        Column("n", INT, "clips rendered and timed", nullable=False),
        Column("n_missing", INT, "clips that were not rendered, or not timed", nullable=False),
        Column("seconds", F64, "median seconds per clip"),
        Column(
            "seconds_low", F64, "lower end of the 95 % interval of that median (binomial order statistics)"
        ),
        Column("seconds_high", F64, "upper end of that interval"),
        Column(
            "realtime_factor",
            F64,
            "median seconds of work per second of video; below 1 is faster than real time",
        ),
        Column("realtime_factor_low", F64, "lower end of its 95 % interval"),
        Column("realtime_factor_high", F64, "upper end of its 95 % interval"),
        Column("peak_mb", F64, "largest peak memory of a clip in MiB; null where not measured"),
    ),
    key=CELL_KEY,
)

WIDE_ROW = (
    CELL[0],
    Column("label", STR, "its name in print", nullable=False),
    Column(
        "role",
        STR,
        "`ours`, `other`, `ablation`, `control` or `ground_truth`; the last two are not ranked",
        nullable=False,
    ),
    Column(
        "caption_source",
        STR,
        "where its text came from: `target`, `label`, `other_clip`, `same_speaker`; null when it uses none",
    ),
    Column("run_hash", STR, "sha256 of the checkpoint or recipe behind the method"),
    Column(
        "trained_on",
        STR,
        "corpora that its run, and what that started from, trained on here, joined by `+`; null if not "
        "trained here",
    ),
    Column("steps", INT, "optimiser steps of that run; null if not trained here"),
    Column(
        "initialised_from",
        STR,
        "what that run started from, what that did, and so on, joined by ` < `; null if not, or not "
        "trained here",
    ),
)


def wide_key(metric: str, corpus: str) -> str:
    """Column name of a metric on a corpus in a wide table."""
    return f"{metric}_{corpus}"


def wide_table(
    name: str,
    cells: Sequence[tuple[str, str]],
    quoted: Sequence[tuple[str, str]] = (),
    flags: Sequence[str] = (),
) -> Table:
    """Contract of a table with one row per method and, for each (metric, corpus), the
    value, its interval, n and paired test.

    Args:
        name: Name of the table.
        cells: Pairs (metric, corpus), in the order of the columns.
        quoted: Those pairs that have a column with a value quoted from a paper.
        flags: Names of switches, e.g. the modules of the ablation.
    """
    columns = [*WIDE_ROW, *(Column(flag, BOOL, f"whether {flag} is on") for flag in flags)]
    for metric, corpus in cells:
        key, where = wide_key(metric, corpus), f"{metric} on {corpus}"
        columns += [
            Column(key, F64, where),
            Column(f"{key}_low", F64, f"lower end of the 95 % interval of {where}"),
            Column(f"{key}_high", F64, f"upper end of the 95 % interval of {where}"),
            Column(f"{key}_n", INT, f"clips that went into {where}"),
            Column(f"{key}_p", F64, f"paired test of {where} against the reference method"),
        ]
        if (metric, corpus) in quoted:
            columns.append(Column(f"{key}_quoted", F64, f"QUOTED from the paper, not measured here: {where}"))
    return Table(name, "one method", tuple(columns), key=("method",))


PLAN = Table(
    "plan",
    "what the jobs of one stage will cost",
    (
        Column("stage", STR, "the stage; `all` for the whole run", nullable=False),
        Column("jobs", INT, "jobs", nullable=False),
        Column("core_hours", F64, "hours of cores held", nullable=False),
        Column("gpu_hours", F64, "hours of GPUs held", nullable=False),
        Column("disk_gb", F64, "left on disk at the end, GB", nullable=False),
        Column("peak_memory_gb", F64, "largest peak memory of a job, GB", nullable=False),
        Column(
            "peak_gpu_memory_gb",
            F64,
            "largest peak memory of a job on its GPU, GB; null when unknown or without GPU",
        ),
        Column(
            "measured_share",
            F64,
            "share of the core-hours whose figures were measured or given, 0..1; the rest is assumed",
            nullable=False,
        ),
        Column(
            "source",
            STR,
            "number of jobs per origin of their figure: `measured`, `given`, `assumed`",
            nullable=False,
        ),
    ),
    key=("stage",),
)

ALL = (
    INDEX,
    CLIPS,
    CLIP_LIST,
    CAPTIONS,
    TEXTS,
    FEATURES,
    HISTORY,
    SAMPLES,
    PER_CLIP,
    SUMMARY,
    CONFUSION,
    SCORES,
    BREAKDOWN,
    DIAL,
    EFFECTS,
    STUDY,
    AUDIT_LEVELS,
    AUDIT,
    SPEED,
    PLAN,
)

IndexRow, ClipsRow, ClipListRow = INDEX.row_type, CLIPS.row_type, CLIP_LIST.row_type
CaptionsRow, TextsRow, FeaturesRow = CAPTIONS.row_type, TEXTS.row_type, FEATURES.row_type
SamplesRow, PerClipRow = SAMPLES.row_type, PER_CLIP.row_type
