# EAD-Net and its benchmark. See README.md; every choice is in config.yaml (demo) or config/paper.yaml (full size).
from snakemake.utils import min_version

min_version("9.19")


# A --configfile replaces the demo's choices instead of being merged into them.
if "corpora" not in config:

    configfile: "config.yaml"


pathvars:
    results="results",
    logs="logs",
    benchmarks="results/benchmarks",


if config.get("container"):

    container: config["container"]


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpora.smk"
include: "workflow/rules/clips.smk"
include: "workflow/rules/zoo.smk"
include: "workflow/rules/captions.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/tables.smk"


rule all:
    default_target: True
    input:
        unpack(everything),
        "<results>/tables/scores.parquet",
        "<results>/report/index.html",
        "<results>/captions/report.html",
        collect("<results>/clips/{corpus}/report.html", corpus=CORPORA),
