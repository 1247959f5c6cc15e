rule report:
    input:
        done("evaluate"),
        rig=rig_of,
    output:
        "results/{subject}/made/report-{made_from}.json",
    log:
        "results/logs/{subject}/report-{made_from}.log",
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    shell:
        '"$PYTHON" -m pipeline.report {wildcards.subject:q} --made-from {wildcards.made_from} '
        "--rig {input.rig:q} 2>&1 | tee {log:q}"
