rule rig:
    output:
        "results/rigs/{rig}.npz",
    log:
        "results/logs/rig/{rig}.log",
    threads: 2
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        version=STAGE_VERSIONS["rig"],
    shell:
        '"$PYTHON" -m pipeline.rig --name {wildcards.rig:q} --out {output:q} 2>&1 | tee {log:q}'
