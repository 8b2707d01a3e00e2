rule build_tables:
    input:
        unpack(table_inputs),
    output:
        scores=report(
            "<results>/tables/scores.parquet",
            caption="../report/scores.rst",
            category="Tables",
            labels={"table": "all values", "format": "Parquet"},
        ),
        csv=[
            report(
                f"<results>/tables/{name}.csv",
                caption=f"../report/{name}.rst",
                category="Tables",
                labels={"table": name, "format": "CSV"},
            )
            for name in SHOWN_TABLES
        ],
        ablation=[
            report(
                "<results>/tables/ablation_report.md",
                caption="../report/effects.rst",
                category="Ablation",
                labels={"what": "effects of the modules", "format": "Markdown"},
            )
        ]
        * ("ablation" in SHOWN_TABLES),
        curves=[
            report(
                "<results>/tables/training_curves.png",
                caption="../report/training_curves.rst",
                category="Ablation",
                labels={"what": "training curves", "format": "PNG"},
            )
        ]
        * bool(RUNS),
    log:
        "<logs>/tables/build.log",
    benchmark:
        "<benchmarks>/tables/build.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(60),
    params:
        settings=settings_of("tables build"),
        options=options(
            "summary",
            "per_clip",
            "samples",
            "history",
            "run_card",
            "coverage",
            "clips",
            "labels",
        ),
    message:
        "Building the tables"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} tables build {params.options} --out {output.scores:q} --settings {params.settings:q}"


rule write_report:
    input:
        scores="<results>/tables/scores.parquet",
    output:
        # Snakemake removes the outputs of a job before it runs and when it fails, a directory() with all that anyone put
        # there, but not what is flagged update: so the last page stays until the new one is whole.
        index=update("<results>/report/index.html"),
        # Snakemake's own report wants a whole directory(); these are hard links.
        bundle=report(
            directory("<results>/bundle/report"),
            htmlindex="index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"what": "tables, charts, videos", "format": "HTML"},
        ),
    log:
        "<logs>/tables/report.log",
    benchmark:
        "<benchmarks>/tables/report.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(60),
    params:
        settings=settings_of("tables report"),
        tables=subpath(input.scores, parent=True),
        results=subpath(input.scores, ancestor=2),
    message:
        "Writing the report"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} tables report --tables {params.tables:q} --results {params.results:q}"
        " --out {output.index:q} --bundle {output.bundle:q} --settings {params.settings:q}"
