import json
from pathlib import Path

from snakemake.utils import validate

# A later file takes an entry out with `name: null`; the package reads its files the same way (eadbench/core/settings.py).
for section, key in (
    ("corpora", "sets"),
    ("zoo", "artefacts"),
    ("training", "runs"),
    ("samples", "methods"),
):
    given = config.get(section)
    named = given.get(key) if isinstance(given, dict) else None
    if isinstance(named, dict):
        given[key] = {name: entry for name, entry in named.items() if entry is not None}

validate(config, "../schemas/config.schema.yaml", set_default=False)

CORPORA = list(config["corpora"]["sets"])
FILMED = [
    name for name, corpus in config["corpora"]["sets"].items() if corpus.get("studio")
]
ARTEFACTS = config["zoo"]["artefacts"]
RUNS = config["training"]["runs"]
METHODS = config["samples"]["methods"]
CELLS = [
    (method, corpus, protocol)
    for method, entry in METHODS.items()
    for corpus in entry["corpora"]
    for protocol in entry["protocols"]
]
TRAIN_ON = sorted(
    {*config["training"].get("train_on", []), *config["zoo"].get("train_on", [])}
)
TESTED = sorted({corpus for _, corpus, _ in CELLS})
# GPU jobs ask for one GPU each, unless the config says that all runs on the CPU.
GPU = 0 if config["device"] == "cpu" else 1
# Of a training run; each has a GPU of its own.
PROCESSES = config["training"].get("processes", 1)


wildcard_constraints:
    corpus="|".join(CORPORA),
    shard=r"\d+-of-\d+",
    artefact="|".join(ARTEFACTS),
    run="|".join(RUNS),
    method="|".join(METHODS),
    protocol="self|cross|cross_emotion",


def settings_of(*sections, entry=None):
    """Params function: the JSON that a job gets as --settings, holding only what it depends on.

    sections: names of config sections. entry: {"section/key": "wildcard"} keeps of a mapping only the entry that the wildcard names.
    """

    def settings(wildcards):
        given = {key: config[key] for key in ("seed", "device", *sections)}
        for path, wildcard in (entry or {}).items():
            section, key = path.split("/")
            name = getattr(wildcards, wildcard)
            given[section] = {**given[section], key: {name: given[section][key][name]}}
        return json.dumps(given, sort_keys=True)

    return settings


def mem_by_attempt(mb):
    """Resources function: memory in MB, doubled on each attempt."""

    def mem(wildcards, attempt):
        return mb * 2 ** (attempt - 1)

    return mem


def runtime_by_attempt(minutes):
    """Resources function: minutes, doubled on each attempt, but not beyond a day: many partitions have no more, and a job that asks for it waits for
    ever. What is given longer from the start (training) goes on from its last save.
    """

    def runtime(wildcards, attempt):
        return min(minutes * 2 ** (attempt - 1), max(minutes, 24 * 60))

    return runtime


def shards(corpus):
    """Names of a corpus's shards."""
    count = config["corpora"]["sets"][corpus]["shards"]
    return [f"{number}-of-{count}" for number in range(count)]


def shard_tables(pattern):
    """Input function: one table per shard of the corpus."""

    def tables(wildcards):
        return [
            pattern.replace("{corpus}", wildcards.corpus).replace("{shard}", shard)
            for shard in shards(wildcards.corpus)
        ]

    return tables


def part_options(wildcards, input):
    """Params function: `--part NAME=FOLDER` for every card among the input's `parts`."""
    folders = [Path(card).parent for card in input.get("parts", [])]
    return " ".join(f"--part {folder.name}={folder}" for folder in folders)


def cards(names):
    """Cards of artefacts."""
    return [f"<results>/zoo/{name}/card.json" for name in names]


def no_leaks():
    """The note that no recording is trained on in one corpus and tested in another; made anew when a corpus is added, which is no reason to train again."""
    return [ancient("<results>/corpora/leaks.json")] if TRAIN_ON and TESTED else []


def artefact_inputs(wildcards):
    """What the making of an artefact looks at: clips and captions of the training corpora, other artefacts. A download or a random one needs nothing."""
    artefact = ARTEFACTS[wildcards.artefact]
    inputs = {"parts": cards(artefact.get("needs", []))}
    if artefact["how"] == "trained":
        inputs["leaks"] = no_leaks()
        corpora = config["zoo"]["train_on"]
        if artefact.get("uses_clips", True):
            inputs["clips"] = [
                f"<results>/clips/{corpus}/cut.parquet" for corpus in corpora
            ]
        if artefact.get("uses_captions", False):
            inputs["captions"] = [
                f"<results>/captions/{corpus}/written.parquet" for corpus in corpora
            ]
    return inputs


def artefact_options(wildcards, input):
    """The same as options of the command."""
    options = [part_options(wildcards, input)]
    options += [f"--clips {path}" for path in input.get("clips", [])]
    options += [f"--captions {path}" for path in input.get("captions", [])]
    return " ".join(options)


def studio_of(wildcards):
    """The filmed corpus that a downloader fetches from, for corpora made on the spot."""
    return "<results>/studio/{corpus}/studio.json" if wildcards.corpus in FILMED else []


def studio_option(wildcards, input):
    """The same as an option."""
    return f"--studio {input.studio}" if input.get("studio") else ""


def as_options(*names):
    """Params function: `--name PATH` for every file of the named inputs."""

    def options(wildcards, input):
        return " ".join(
            f"--{name.replace('_', '-')} {path}"
            for name in names
            for path in input.get(name, [])
        )

    return options


JUDGES = sorted(set(config["scores"]["judges"].values()))


def run_settings(wildcards):
    """What one training run depends on: the shared sections and the entries of the run and of those that it is a diff against."""
    wanted = [wildcards.run]
    while base := RUNS[wanted[-1]].get("base"):
        wanted.append(base)
    training = {**config["training"], "runs": {name: RUNS[name] for name in wanted}}
    training.pop("processes", None)  # another number is no reason to train again
    return json.dumps(
        {"seed": config["seed"], "device": config["device"], "training": training},
        sort_keys=True,
    )


def run_entry(run):
    """A run's entry with what it inherits."""
    entry = RUNS[run]
    return {**run_entry(entry["base"]), **entry} if "base" in entry else entry


def run_inputs(wildcards):
    """Features, the run it starts from, the training SyncNet, and the frozen parts of the losses."""
    entry = run_entry(wildcards.run)
    inputs = {
        "features": [
            f"<results>/features/{corpus}/index.parquet"
            for corpus in config["training"]["train_on"]
        ]
    }
    for key in ("init", "syncnet"):
        if entry.get(key):
            inputs[key] = f"<results>/training/{entry[key]}/card.json"
    inputs["parts"] = cards(entry.get("parts", []))
    inputs["leaks"] = no_leaks()
    return inputs


def run_options(wildcards, input):
    """The same as options."""
    entry = run_entry(wildcards.run)
    options = [f"--features {path}" for path in input.features]
    if entry.get("init"):
        options.append(f"--init {Path(input.init).parent}")
    if entry.get("syncnet"):
        options.append(f"--part syncnet={Path(input.syncnet).parent}")
    options.append(part_options(wildcards, input))
    return " ".join(options)


# The measured captioner and an endpoint need no model of the zoo.
CAPTIONER_PARTS = (
    [config["captions"]["qwen"]["artefact"]]
    if config["captions"]["captioner"] == "qwen"
    and config["captions"].get("qwen", {}).get("artefact")
    else []
)
FILTER_PARTS = [config["captions"].get("filter", {}).get("embedder", "sentence")]


def sample_inputs(wildcards):
    """The clips; for a trained method its run, features and frozen parts; for one that reads another's output, that output."""
    entry = METHODS[wildcards.method]
    inputs = {"clips": "<results>/clips/{corpus}/clips.parquet"}
    if entry.get("after"):
        inputs["after"] = (
            f"<results>/samples/{entry['after']}/{wildcards.corpus}/{wildcards.protocol}/samples.parquet"
        )
    if entry.get("run"):
        inputs["run"] = f"<results>/training/{entry['run']}/card.json"
        inputs["features"] = "<results>/features/{corpus}/index.parquet"
        inputs["parts"] = cards(SAMPLER_PARTS.get(entry["kind"], []))
    return inputs


SAMPLER_PARTS = {"eadnet": ["vae"], "wav2lip": []}


def sample_options(wildcards, input):
    """The same as options."""
    entry = METHODS[wildcards.method]
    if not entry.get("run"):
        return ""
    run = f"--run {Path(input.run).parent} --features {input.features}"
    return f"{run} {part_options(wildcards, input)}"


def table_inputs(wildcards):
    """Everything that was scored, and how the runs trained."""
    cells = ["/".join(cell) for cell in CELLS]
    return {
        "summary": [f"<results>/scores/{cell}/summary.parquet" for cell in cells],
        "per_clip": [f"<results>/scores/{cell}/per_clip.parquet" for cell in cells],
        "samples": [f"<results>/samples/{cell}/samples.parquet" for cell in cells],
        "history": [f"<results>/training/{run}/history.parquet" for run in RUNS],
        "leaks": no_leaks(),
    }


# Tables that the config asks for, as `--report` shows them.
SHOWN_TABLES = [
    name
    for name in ("main", "generalisation", "ablation", "speed")
    if config["tables"].get(name)
]


def everything(wildcards):
    """All that a run leaves for people: named in `rule all`, so that a deleted output is made again even if what was made from it is still there."""
    per_corpus = (
        "corpora/{c}/index.parquet",
        "clips/{c}/clips.parquet",
        "captions/{c}/captions.parquet",
    )
    with_features = {
        *config["training"]["train_on"],
        *(corpus for method, corpus, _ in CELLS if METHODS[method].get("run")),
    }
    return {
        **table_inputs(wildcards),
        "stages": [
            f"<results>/{path.format(c=corpus)}"
            for corpus in CORPORA
            for path in per_corpus
        ],
        "features": [
            f"<results>/features/{corpus}/index.parquet"
            for corpus in CORPORA
            if corpus in with_features
        ],
        "runs": [f"<results>/training/{run}/card.json" for run in RUNS],
    }
