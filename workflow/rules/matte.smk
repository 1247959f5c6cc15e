rule matte:
    input:
        capture_files,
        frames="results/{subject}/ingest/frames.h5",
    output:
        alpha="results/{subject}/matte/alpha.h5",
        quality="results/{subject}/matte/quality.json",
    log:
        "results/logs/{subject}/matte.log",
    threads: 2
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        capture=capture_of,
        settings=settings_of("matte"),
        version=STAGE_VERSIONS["matte"],
    shell:
        '"$PYTHON" -m pipeline.matte --subject {wildcards.subject:q} '
        "--capture {params.capture:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
