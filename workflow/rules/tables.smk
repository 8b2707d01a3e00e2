rule build_tables:
    input:
        unpack(table_inputs),
    output:
        report(
            "<results>/tables/scores.parquet",
            caption="../report/scores.rst",
            category="Tables",
        ),
    log:
        "<logs>/tables/build.log",
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(60),
    params:
        settings=settings_of("tables"),
        options=as_options("summary", "per_clip", "samples", "history"),
    message:
        "Building the tables"
    shell:
        "python -m eadbench --log {log} --threads {threads} tables build {params.options} --out {output} --settings {params.settings:q}"


rule write_report:
    input:
        scores="<results>/tables/scores.parquet",
    output:
        report(
            "<results>/report/index.html",
            caption="../report/page.rst",
            category="Report",
        ),
    log:
        "<logs>/tables/report.log",
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(60),
    params:
        settings=settings_of("tables"),
        tables=subpath(input.scores, parent=True),
        results=subpath(input.scores, ancestor=2),
    message:
        "Writing the report"
    shell:
        "python -m eadbench --log {log} --threads {threads} tables report --tables {params.tables} --results {params.results}"
        " --out {output} --settings {params.settings:q}"
