rule fetch_corpus:
    input:
        studio=studio_of,
    output:
        "<results>/corpora/{corpus}/fetch.json",
    log:
        "<logs>/corpora/fetch/{corpus}.log",
    benchmark:
        "<benchmarks>/corpora/fetch/{corpus}.tsv"
    retries: 2
    conda:
        "../../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(1500),
        runtime=runtime_by_attempt(24 * 60),
    params:
        settings=settings_of("corpora fetch"),
        aside=aside_of("corpora fetch"),
        studio=options("studio"),
    message:
        "Fetching {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} corpora fetch --corpus {wildcards.corpus:q} {params.studio}"
        " --out {output:q} --settings {params.settings:q} {params.aside}"


rule index_corpus:
    input:
        "<results>/corpora/{corpus}/fetch.json",
    output:
        "<results>/corpora/{corpus}/index.parquet",
    log:
        "<logs>/corpora/index/{corpus}.log",
    benchmark:
        "<benchmarks>/corpora/index/{corpus}.tsv"
    conda:
        "../../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(2000),
        runtime=runtime_by_attempt(120),
    params:
        settings=settings_of("corpora index"),
        reads=reads_of(
            "corpora index", lambda wildcards: CORPORA[wildcards.corpus].reads()
        ),
        aside=aside_of("corpora index"),
    message:
        "Listing the recordings of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} corpora index --corpus {wildcards.corpus:q} --fetch {input:q}"
        " --out {output:q} --settings {params.settings:q} {params.aside}"


# The indices of all corpora meet here, before anything is trained.
rule check_leaks:
    input:
        train=[f"<results>/corpora/{corpus}/index.parquet" for corpus in TRAIN_ON],
        test=[f"<results>/corpora/{corpus}/index.parquet" for corpus in TESTED],
    output:
        "<results>/corpora/leaks.json",
    log:
        "<logs>/corpora/leaks.log",
    benchmark:
        "<benchmarks>/corpora/leaks.tsv"
    conda:
        "../../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(1500),
        runtime=runtime_by_attempt(20),
    params:
        settings=settings_of("corpora leaks"),
        options=options("train", "test"),
    message:
        "Comparing the corpora that train with those that are tested"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} corpora leaks {params.options}"
        " --out {output:q} --settings {params.settings:q}"
