# `corpora film` is what `synthetic film` was called. Another command in this rule would do again all that is finished: Snakemake compares the command
# of a rule with the one that made a file.
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
        settings=settings_of("corpora film"),
    message:
        "Filming the drawn actors of {wildcards.corpus}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} corpora film --corpus {wildcards.corpus:q} --workers {threads}"
        " --out {output:q} --settings {params.settings:q}"
