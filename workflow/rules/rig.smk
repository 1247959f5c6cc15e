rule rig:
    input:
        flame_of,
    output:
        "results/rigs/{rig}.npz",
    log:
        "results/logs/rig/{rig}.log",
    threads: 2
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        flame=lambda wildcards, input: (
            f"--flame {shlex.quote(input[0])}" if input else ""
        ),
        version=STAGE_VERSIONS["rig"],
    shell:
        '"$PYTHON" -m pipeline.rigs --name {wildcards.rig:q} {params.flame} --out {output:q} '
        "2>&1 | tee {log:q}"
