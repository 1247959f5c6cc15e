rule track:
    input:
        done("matte"),
        rig=rig_of,
    output:
        "results/{subject}/made/track-{made_from}.json",
    log:
        "results/logs/{subject}/track-{made_from}.log",
    threads: cores_of_a_job
    resources:
        mem_mb=memory_of("track"),
        runtime=minutes_of("track"),
    params:
        capture=capture_of,
        settings=settings_of("track"),
    shell:
        '"$PYTHON" -m pipeline.track --subject {wildcards.subject:q} --made-from {wildcards.made_from} '
        "--rig {input.rig:q} --capture {params.capture:q} --settings {params.settings:q} "
        "2>&1 | tee {log:q}"
