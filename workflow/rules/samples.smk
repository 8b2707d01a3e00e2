rule make_samples:
    input:
        unpack(sample_inputs),
    output:
        "<results>/samples/{method}/{corpus}/{protocol}/samples.parquet",
    log:
        "<logs>/samples/{method}/{corpus}/{protocol}.log",
    benchmark:
        "<benchmarks>/samples/{method}/{corpus}/{protocol}.tsv"
    priority: 10
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=mem_of_rendering,
        runtime=runtime_by_attempt(720),
        gpu=GPU,
    params:
        settings=settings_of("samples make"),
        reads=reads_of("samples make", method_reads),
        aside=aside_of("samples make"),
        options=options("run", "features", "parts"),
    message:
        "Rendering {wildcards.corpus} with {wildcards.method} ({wildcards.protocol})"
    shell:
        "python -m eadbench --log {log:q} --threads {threads} samples make --method {wildcards.method:q} --corpus {wildcards.corpus:q}"
        " --protocol {wildcards.protocol:q} --clips {input.clips:q} {params.options} --out {output:q} --settings {params.settings:q} {params.aside}"
