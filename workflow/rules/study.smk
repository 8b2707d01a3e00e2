rule analyse_study:
    input:
        unpack(study_inputs),
    output:
        effects="<results>/study/effects.parquet",
        page=report(
            "<results>/study/study.md",
            caption="../report/study.rst",
            category="Study",
            labels={"what": "hypotheses and effects", "format": "Markdown"},
        ),
        forest=multiext("<results>/study/forest", ".png", ".pdf"),
    log:
        "<logs>/study/analyse.log",
    benchmark:
        "<benchmarks>/study/analyse.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(60),
    params:
        settings=settings_of("study analyse"),
        options=options("per_clip", "summary"),
        folder=subpath(output.effects, parent=True),
    message:
        "Analysing the study"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} study analyse {params.options} --out {params.folder:q} --settings {params.settings:q}"


rule compare_readings:
    input:
        unpack(readings_inputs),
    output:
        effects="<results>/study/readings/effects.parquet",
        page=report(
            "<results>/study/readings/readings.md",
            caption="../report/readings.rst",
            category="Study",
            labels={"what": "other readings of the modules", "format": "Markdown"},
        ),
        forest=multiext("<results>/study/readings/forest", ".png", ".pdf"),
    log:
        "<logs>/study/readings.log",
    benchmark:
        "<benchmarks>/study/readings.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(60),
    params:
        settings=settings_of("study readings"),
        options=options("per_clip", "summary"),
        folder=subpath(output.effects, parent=True),
    message:
        "Comparing other readings of the modules"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} study readings {params.options} --out {params.folder:q} --settings {params.settings:q}"
