rule ingest:
    input:
        capture_files,
    output:
        frames="results/{subject}/ingest/frames.h5",
        index="results/{subject}/ingest/index.json",
        quality="results/{subject}/ingest/quality.json",
    log:
        "results/logs/{subject}/ingest.log",
    threads: 2
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        capture=capture_of,
        settings=settings_of("ingest"),
        version=STAGE_VERSIONS["ingest"],
    shell:
        '"$PYTHON" -m pipeline.ingest --subject {wildcards.subject:q} '
        "--capture {params.capture:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
