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
        settings=settings_of("zoo", entry={"zoo/artefacts": "artefact"}),
        options=artefact_options,
    message:
        "Making {wildcards.artefact} for the zoo"
    shell:
        "python -m eadbench --log {log} --threads {threads} zoo make {wildcards.artefact} {params.options}"
        " --out {output} --settings {params.settings:q}"
