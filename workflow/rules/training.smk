# Training is the longest chain of jobs; what leads to it goes before scores of cells that need none (`priority` here and in earlier stages).
rule train:
    input:
        unpack(run_inputs),
    output:
        card="<results>/training/{run}/card.json",
        history="<results>/training/{run}/history.parquet",
    log:
        "<logs>/training/{run}.log",
    benchmark:
        "<benchmarks>/training/{run}.tsv"
    priority: 30
    conda:
        "../../envs/training.yaml"
    threads: PROCESSES
    resources:
        mem_mb=mem_of_training,
        runtime=runtime_by_attempt(2880),
        gpu=GPU * PROCESSES,
        processes=PROCESSES,
    params:
        settings=settings_of("training run"),
        aside=aside_of("training run"),
        options=options("features", "init", "syncnet", "parts"),
    message:
        "Training {wildcards.run}"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} training run --run {wildcards.run:q} {params.options}"
        " --processes {resources.processes}"
        " --out {output.card:q} --settings {params.settings:q} {params.aside}"
