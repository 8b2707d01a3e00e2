rule extract_features:
    input:
        clips="<results>/clips/{corpus}/clips.parquet",
        parts=cards(["vae", "whisper"]),
    output:
        "<results>/features/{corpus}/shards/{shard}/features.parquet",
    log:
        "<logs>/features/extract/{corpus}/{shard}.log",
    benchmark:
        "<benchmarks>/features/extract/{corpus}/{shard}.tsv"
    priority: 20
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(480),
        gpu=GPU,
    params:
        settings=settings_of("features extract"),
        parts=options("parts"),
    message:
        "Latents and audio features of {wildcards.corpus}, shard {wildcards.shard}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} features extract --corpus {wildcards.corpus:q} --shard {wildcards.shard:q}"
        " --clips {input.clips:q} {params.parts} --out {output:q} --settings {params.settings:q}"


rule encode_text:
    input:
        captions="<results>/captions/{corpus}/captions.parquet",
        parts=cards(["text_encoder"]),
    output:
        "<results>/features/{corpus}/text.parquet",
    log:
        "<logs>/features/text/{corpus}.log",
    benchmark:
        "<benchmarks>/features/text/{corpus}.tsv"
    priority: 20
    conda:
        "../../envs/captions.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(60),
        gpu=GPU,
    params:
        settings=settings_of("features text"),
        parts=options("parts"),
    message:
        "Encoding the captions of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} features text --corpus {wildcards.corpus:q} --captions {input.captions:q}"
        " {params.parts} --out {output:q} --settings {params.settings:q}"


rule merge_features:
    input:
        shards=shard_tables(
            "<results>/features/{corpus}/shards/{shard}/features.parquet"
        ),
        clips="<results>/clips/{corpus}/clips.parquet",
        captions="<results>/captions/{corpus}/captions.parquet",
        text="<results>/features/{corpus}/text.parquet",
    output:
        "<results>/features/{corpus}/index.parquet",
    log:
        "<logs>/features/merge/{corpus}.log",
    benchmark:
        "<benchmarks>/features/merge/{corpus}.tsv"
    priority: 20
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(2000),
        runtime=runtime_by_attempt(20),
    message:
        "Joining the features of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} features merge --corpus {wildcards.corpus:q} --clips {input.clips:q}"
        " --captions {input.captions:q} --text {input.text:q} --out {output:q} {input.shards:q}"
