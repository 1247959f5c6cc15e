rule evaluate:
    input:
        done("train"),
        rig=rig_of,
    output:
        "results/{subject}/made/evaluate-{made_from}.json",
    log:
        "results/logs/{subject}/evaluate-{made_from}.log",
    threads: cores_of_a_job
    resources:
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
    params:
        group=lambda wildcards, threads: group_of(wildcards.subject),
        settings=settings_of("evaluate"),
    shell:
        '"$PYTHON" -m pipeline.evaluate --subject {wildcards.subject:q} --made-from {wildcards.made_from} '
        "--rig {input.rig:q} --group={params.group:q} --settings {params.settings:q} "
        "2>&1 | tee {log:q}"
