rule pack:
    input:
        done("track"),
        rig=rig_of,
    output:
        "results/{subject}/made/pack-{made_from}.json",
    log:
        "results/logs/{subject}/pack-{made_from}.log",
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        settings=settings_of("pack"),
    shell:
        '"$PYTHON" -m pipeline.pack --subject {wildcards.subject:q} --made-from {wildcards.made_from} '
        "--rig {input.rig:q} --settings {params.settings:q} "
        "2>&1 | tee {log:q}"
