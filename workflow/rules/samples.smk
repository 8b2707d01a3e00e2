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
        mem_mb=mem_by_attempt(4000),
        runtime=runtime_by_attempt(720),
        gpu=GPU,
    params:
        settings=settings_of("samples", entry={"samples/methods": "method"}),
        options=sample_options,
    message:
        "Rendering {wildcards.corpus} with {wildcards.method} ({wildcards.protocol})"
    shell:
        "python -m eadbench --log {log} --threads {threads} samples make --method {wildcards.method} --corpus {wildcards.corpus}"
        " --protocol {wildcards.protocol} --clips {input.clips} {params.options} --out {output} --settings {params.settings:q}"
