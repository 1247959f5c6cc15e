rule train:
    input:
        done("pack"),
        done("refine"),
        rig=rig_of,
    output:
        "results/{subject}/made/train-{made_from}.json",
    log:
        "results/logs/{subject}/train-{made_from}.log",
    threads: cores_of_a_job
    resources:
        mem_mb=memory_of("train"),
        runtime=minutes_of("train"),
    params:
        settings=settings_of("train"),
    shell:
        '"$PYTHON" -m avatar.train --subject {wildcards.subject:q} --made-from {wildcards.made_from} '
        "--rig {input.rig:q} --settings {params.settings:q} "
        "2>&1 | tee {log:q}"
