rule cut_clips:
    input:
        "<results>/corpora/{corpus}/index.parquet",
    output:
        "<results>/clips/{corpus}/shards/{shard}/cut.parquet",
    log:
        "<logs>/clips/cut/{corpus}/{shard}.log",
    benchmark:
        "<benchmarks>/clips/cut/{corpus}/{shard}.tsv"
    conda:
        "../../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(2000),
        runtime=runtime_by_attempt(240),
    params:
        settings=settings_of("clips cut"),
    message:
        "Cutting face clips of {wildcards.corpus}, shard {wildcards.shard}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} clips cut --corpus {wildcards.corpus:q} --shard {wildcards.shard:q}"
        " --index {input:q} --out {output:q} --settings {params.settings:q}"


rule merge_cut_clips:
    input:
        shard_tables("<results>/clips/{corpus}/shards/{shard}/cut.parquet"),
    output:
        "<results>/clips/{corpus}/cut.parquet",
    log:
        "<logs>/clips/merge_cut/{corpus}.log",
    benchmark:
        "<benchmarks>/clips/merge_cut/{corpus}.tsv"
    conda:
        "../../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(2000),
        runtime=runtime_by_attempt(20),
    message:
        "Merging the cut clips of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} clips merge --out {output:q} {input:q}"


rule check_clips:
    input:
        cut="<results>/clips/{corpus}/shards/{shard}/cut.parquet",
        evaluator="<results>/zoo/syncnet_evaluator/card.json",
    output:
        "<results>/clips/{corpus}/shards/{shard}/checked.parquet",
    log:
        "<logs>/clips/check/{corpus}/{shard}.log",
    benchmark:
        "<benchmarks>/clips/check/{corpus}/{shard}.tsv"
    conda:
        "../../envs/scoring.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(3000),
        runtime=runtime_by_attempt(240),
        gpu=GPU,
    params:
        settings=settings_of("clips check"),
        evaluator=subpath(input.evaluator, parent=True),
    message:
        "Checking audio against lips in {wildcards.corpus}, shard {wildcards.shard}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} clips check --corpus {wildcards.corpus:q} --shard {wildcards.shard:q}"
        " --cut {input.cut:q} --evaluator {params.evaluator:q} --out {output:q} --settings {params.settings:q}"


rule merge_checked_clips:
    input:
        shard_tables("<results>/clips/{corpus}/shards/{shard}/checked.parquet"),
    output:
        "<results>/clips/{corpus}/clips.parquet",
    log:
        "<logs>/clips/merge_checked/{corpus}.log",
    benchmark:
        "<benchmarks>/clips/merge_checked/{corpus}.tsv"
    conda:
        "../../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(2000),
        runtime=runtime_by_attempt(20),
    message:
        "Merging the checked clips of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} clips merge --out {output:q} {input:q}"


rule report_clips:
    input:
        clips="<results>/clips/{corpus}/clips.parquet",
        index="<results>/corpora/{corpus}/index.parquet",
    output:
        page=report(
            "<results>/clips/{corpus}/report.html",
            caption="../report/clips.rst",
            category="Clips",
            labels={"corpus": "{corpus}", "format": "HTML"},
        ),
        list="<results>/clips/{corpus}/list.csv",
        table="<results>/clips/{corpus}/list.parquet",
        coverage="<results>/clips/{corpus}/coverage.json",
    log:
        "<logs>/clips/report/{corpus}.log",
    benchmark:
        "<benchmarks>/clips/report/{corpus}.tsv"
    conda:
        "../../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(2000),
        runtime=runtime_by_attempt(30),
    params:
        settings=settings_of("clips report"),
    message:
        "Reporting what was kept and lost of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} clips report --corpus {wildcards.corpus:q} --clips {input.clips:q}"
        " --index {input.index:q} --out {output.page:q} --settings {params.settings:q}"
