rule film:
    output:
        "<results>/studio/{corpus}/studio.json",
    log:
        "<logs>/corpora/film/{corpus}.log",
    benchmark:
        "<benchmarks>/corpora/film/{corpus}.tsv"
    conda:
        "../../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(1500),
        runtime=runtime_by_attempt(60),
    params:
        settings=settings_of("corpora", entry={"corpora/sets": "corpus"}),
    message:
        "Filming the drawn actors of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log} --threads {threads} corpora film --corpus {wildcards.corpus} --workers {threads}"
        " --out {output} --settings {params.settings:q}"


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
        settings=settings_of("corpora", entry={"corpora/sets": "corpus"}),
        studio=studio_option,
    message:
        "Fetching {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log} --threads {threads} corpora fetch --corpus {wildcards.corpus} {params.studio}"
        " --out {output} --settings {params.settings:q}"


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
        settings=settings_of("corpora", entry={"corpora/sets": "corpus"}),
    message:
        "Listing the recordings of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log} --threads {threads} corpora index --corpus {wildcards.corpus} --fetch {input}"
        " --out {output} --settings {params.settings:q}"


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
        settings=settings_of("corpora"),
        options=as_options("train", "test"),
    message:
        "Comparing the corpora that train with those that are tested"
    shell:
        "python -m eadbench --log {log} --threads {threads} corpora leaks {params.options}"
        " --out {output} --settings {params.settings:q}"
