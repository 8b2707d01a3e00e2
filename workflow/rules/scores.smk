# What `scores: together` asks for: one process measures the clips of all cells of a corpus, whose own jobs join them. A cell that changed is measured again,
# the others are left as they are.
rule measure_corpus:
    input:
        unpack(corpus_inputs),
    output:
        "<results>/scores/together/{corpus}/signatures.json",
    log:
        "<logs>/scores/together/{corpus}.log",
    benchmark:
        "<benchmarks>/scores/together/{corpus}.tsv"
    conda:
        "../../envs/scoring.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(720),
        gpu=GPU,
    params:
        settings=settings_of("scores corpus"),
        parts=options("parts", "real"),
        cells=cells_of_corpus,
    message:
        "Measuring all methods on {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} scores corpus --corpus {wildcards.corpus:q} {params.cells}"
        " --clips {input.clips:q} {params.parts} --out {output:q} --settings {params.settings:q}"


rule measure:
    input:
        clips="<results>/clips/{corpus}/clips.parquet",
        samples="<results>/samples/{method}/{corpus}/{protocol}/samples.parquet",
        real=reference_input,
        parts=cards(EVALUATORS),
        signatures=measured_together,
    output:
        "<results>/scores/{method}/{corpus}/{protocol}/per_clip.parquet",
    log:
        "<logs>/scores/measure/{method}/{corpus}/{protocol}.log",
    benchmark:
        "<benchmarks>/scores/{method}/{corpus}/{protocol}.tsv"
    conda:
        "../../envs/scoring.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(240),
        gpu=GPU,
    params:
        settings=settings_of("scores measure"),
        parts=options("parts", "real", "signatures"),
    message:
        "Measuring {wildcards.method} on {wildcards.corpus} ({wildcards.protocol})"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} scores measure --method {wildcards.method:q} --corpus {wildcards.corpus:q}"
        " --protocol {wildcards.protocol:q} --samples {input.samples:q} --clips {input.clips:q} {params.parts}"
        " --out {output:q} --settings {params.settings:q}"


rule summarise:
    input:
        cell="<results>/scores/{method}/{corpus}/{protocol}/per_clip.parquet",
        real="<results>/scores/ground_truth/{corpus}/self/per_clip.parquet",
    output:
        summary="<results>/scores/{method}/{corpus}/{protocol}/summary.parquet",
        confusion="<results>/scores/{method}/{corpus}/{protocol}/confusion.parquet",
    log:
        "<logs>/scores/summarise/{method}/{corpus}/{protocol}.log",
    benchmark:
        "<benchmarks>/scores/summarise/{method}/{corpus}/{protocol}.tsv"
    conda:
        "../../envs/scoring.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(3000),
        runtime=runtime_by_attempt(60),
    params:
        settings=settings_of("scores summarise"),
        cell=subpath(input.cell, parent=True),
        real=subpath(input.real, parent=True),
    message:
        "Summing up {wildcards.method} on {wildcards.corpus} ({wildcards.protocol})"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} scores summarise --cell {params.cell:q} --real {params.real:q}"
        " --out {output.summary:q} --settings {params.settings:q}"
