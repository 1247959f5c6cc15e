rule evaluate:
    input:
        rig=rig_of,
        dataset="results/{subject}/dataset.h5",
        avatar="results/{subject}/avatar/avatar.safetensors",
        params="results/{subject}/avatar/rig_params.npz",
    output:
        metrics="results/{subject}/eval/metrics.csv",
        summary="results/{subject}/eval/summary.json",
        video="results/{subject}/eval/comparison.mp4",
    log:
        "results/logs/{subject}/evaluate.log",
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        group=group_of,
        settings=settings_of("evaluate"),
        version=STAGE_VERSIONS["evaluate"],
    shell:
        '"$PYTHON" -m pipeline.evaluate --subject {wildcards.subject:q} --rig {input.rig:q} '
        "--group={params.group:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
