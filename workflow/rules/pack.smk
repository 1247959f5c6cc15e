rule pack:
    input:
        done("track"),
        rig=rig_of,
    output:
        "results/{subject}/made/pack-{made_from}.json",
    log:
        "results/logs/{subject}/pack-{made_from}.log",
    resources:
        mem_mb=memory_of("pack"),
        runtime=minutes_of("pack"),
    params:
        settings=settings_of("pack"),
    shell:
        '"$PYTHON" -m pipeline.pack --subject {wildcards.subject:q} --made-from {wildcards.made_from} '
        "--rig {input.rig:q} --settings {params.settings:q} "
        "2>&1 | tee {log:q}"
