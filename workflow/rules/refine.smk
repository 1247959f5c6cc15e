rule refine:
    input:
        done("pack"),
        rig=rig_of,
    output:
        "results/{subject}/made/refine-{made_from}.json",
    log:
        "results/logs/{subject}/refine-{made_from}.log",
    threads: cores_of_a_job
    resources:
        mem_mb=memory_of("refine"),
        runtime=minutes_of("refine"),
    params:
        settings=settings_of("refine"),
    shell:
        '"$PYTHON" -m avatar.refine --subject {wildcards.subject:q} --made-from {wildcards.made_from} '
        "--rig {input.rig:q} --settings {params.settings:q} "
        "2>&1 | tee {log:q}"
