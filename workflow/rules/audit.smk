rule audit_metrics:
    input:
        unpack(audit_inputs),
    output:
        table="<results>/audit/audit.parquet",
        levels="<results>/audit/levels.parquet",
        page="<results>/audit/index.html",
    log:
        "<logs>/audit/run.log",
    benchmark:
        "<benchmarks>/audit/run.tsv"
    conda:
        "../../envs/scoring.yaml"
    threads: 2
    resources:
        mem_mb=mem_by_attempt(8000),
        runtime=runtime_by_attempt(240),
        gpu=GPU,
    params:
        settings=settings_of("audit run"),
        options=options("parts", "clips"),
        folder=subpath(output.table, parent=True),
    message:
        "Auditing the metrics"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} audit run {params.options} --out {params.folder:q} --settings {params.settings:q}"
