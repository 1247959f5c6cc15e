rule rig:
    output:
        "results/rigs/{rig}.npz",
    log:
        "results/logs/rig/{rig}.log",
    threads: cores_of_a_job
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        flame=flame_argument,
        flame_hash=lambda wildcards: (
            file_hash(flame_file()) if wildcards.rig == "flame" else ""
        ),
        version=plan.VERSIONS["rig"],
    shell:
        '"$PYTHON" -m pipeline.rigs --name {wildcards.rig:q} {params.flame} --out {output:q} '
        "2>&1 | tee {log:q}"
