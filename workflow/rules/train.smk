rule train:
    input:
        rig=rig_of,
        dataset="results/{subject}/dataset.h5",
    output:
        avatar="results/{subject}/avatar/avatar.safetensors",
        ply="results/{subject}/avatar/local_frame.ply",
        params="results/{subject}/avatar/rig_params.npz",
        log="results/{subject}/avatar/train_log.csv",
    log:
        "results/logs/{subject}/train.log",
    threads: 2
    resources:
        mem_mb=8000,
        runtime=720,
    params:
        settings=settings_of("train"),
        version=STAGE_VERSIONS["train"],
    shell:
        '"$PYTHON" -m avatar.train --subject {wildcards.subject:q} --rig {input.rig:q} '
        "--settings {params.settings:q} 2>&1 | tee {log:q}"
