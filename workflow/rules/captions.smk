rule write_captions:
    input:
        clips="<results>/clips/{corpus}/clips.parquet",
        parts=cards(SETTINGS.captions.artefacts()),
    output:
        "<results>/captions/{corpus}/shards/{shard}.parquet",
    log:
        "<logs>/captions/write/{corpus}/{shard}.log",
    benchmark:
        "<benchmarks>/captions/write/{corpus}/{shard}.tsv"
    priority: 20
    conda:
        "../../envs/captions.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(480),
        gpu=GPU,
    params:
        settings=settings_of("captions write"),
        reads=reads_of("captions write", lambda wildcards: PROMPT),
        aside=aside_of("captions write"),
        parts=options("parts"),
    message:
        "Describing the clips of {wildcards.corpus}, shard {wildcards.shard}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} captions write --corpus {wildcards.corpus:q} --shard {wildcards.shard:q}"
        " --clips {input.clips:q} {params.parts} --out {output:q} --settings {params.settings:q} {params.aside}"


rule merge_captions:
    input:
        shard_tables("<results>/captions/{corpus}/shards/{shard}.parquet"),
    output:
        "<results>/captions/{corpus}/written.parquet",
    log:
        "<logs>/captions/merge/{corpus}.log",
    benchmark:
        "<benchmarks>/captions/merge/{corpus}.tsv"
    priority: 20
    conda:
        "../../envs/captions.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(2000),
        runtime=runtime_by_attempt(20),
    message:
        "Merging the captions of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} captions merge --out {output:q} {input:q}"


rule filter_captions:
    input:
        written="<results>/captions/{corpus}/written.parquet",
        clips="<results>/clips/{corpus}/clips.parquet",
        parts=cards([SETTINGS.captions.filter.embedder]),
    output:
        "<results>/captions/{corpus}/captions.parquet",
    log:
        "<logs>/captions/filter/{corpus}.log",
    benchmark:
        "<benchmarks>/captions/filter/{corpus}.tsv"
    priority: 20
    conda:
        "../../envs/captions.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(3000),
        runtime=runtime_by_attempt(60),
        gpu=GPU,
    params:
        settings=settings_of("captions filter"),
        parts=options("parts"),
    message:
        "Filtering the captions of {wildcards.corpus} by cosine similarity"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} captions filter --corpus {wildcards.corpus:q} --written {input.written:q}"
        " --clips {input.clips:q} {params.parts} --out {output:q} --settings {params.settings:q}"


rule report_captions:
    input:
        captions=collect("<results>/captions/{corpus}/captions.parquet", corpus=CORPORA),
    output:
        report(
            "<results>/captions/report.html",
            caption="../report/captions.rst",
            category="Captions",
            labels={"what": "similarities and the filter", "format": "HTML"},
        ),
    log:
        "<logs>/captions/report.log",
    benchmark:
        "<benchmarks>/captions/report.tsv"
    conda:
        "../../envs/captions.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(2000),
        runtime=runtime_by_attempt(30),
    params:
        options=options("captions"),
        settings=settings_of("captions report"),
    message:
        "Reporting on the captions and their filter"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} captions report {params.options}"
        " --out {output:q} --settings {params.settings:q}"
