rule make_artefact:
    input:
        unpack(artefact_inputs),
    output:
        "<results>/zoo/{artefact}/card.json",
    log:
        "<logs>/zoo/{artefact}.log",
    benchmark:
        "<benchmarks>/zoo/{artefact}.tsv"
    priority: 20
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(240),
    params:
        settings=settings_of("zoo make"),
        aside=aside_of("zoo make"),
        options=options("parts", "clips", "captions"),
    message:
        "Making {wildcards.artefact} for the zoo"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} zoo make {wildcards.artefact:q} {params.options}"
        " --out {output:q} --settings {params.settings:q} {params.aside}"
