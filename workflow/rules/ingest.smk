rule ingest:
    input:
        demo_capture,
    output:
        "results/{subject}/made/ingest-{made_from}.json",
    log:
        "results/logs/{subject}/ingest-{made_from}.log",
    threads: cores_of_a_job
    resources:
        mem_mb=memory_of("ingest"),
        runtime=minutes_of("ingest"),
    params:
        capture=capture_of,
        settings=settings_of("ingest"),
    shell:
        '"$PYTHON" -m pipeline.ingest --subject {wildcards.subject:q} --made-from {wildcards.made_from} '
        "--capture {params.capture:q} --settings {params.settings:q} "
        "2>&1 | tee {log:q}"
