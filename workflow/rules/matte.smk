rule matte:
    input:
        done("ingest"),
    output:
        "results/{subject}/made/matte-{made_from}.json",
    log:
        "results/logs/{subject}/matte-{made_from}.log",
    threads: cores_of_a_job
    resources:
        mem_mb=memory_of("matte"),
        runtime=minutes_of("matte"),
    params:
        capture=capture_of,
        settings=settings_of("matte"),
    shell:
        '"$PYTHON" -m pipeline.matte --subject {wildcards.subject:q} --made-from {wildcards.made_from} '
        "--capture {params.capture:q} --settings {params.settings:q} "
        "2>&1 | tee {log:q}"
