rule pack:
    input:
        rig=rig_of,
        frames="results/{subject}/ingest/frames.h5",
        alpha="results/{subject}/matte/alpha.h5",
        params="results/{subject}/track/params.npz",
        cameras="results/{subject}/track/cameras.json",
        quality="results/{subject}/track/quality.json",
    output:
        "results/{subject}/dataset.h5",
    log:
        "results/logs/{subject}/pack.log",
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        settings=settings_of("pack"),
        version=STAGE_VERSIONS["pack"],
    shell:
        '"$PYTHON" -m pipeline.pack --subject {wildcards.subject:q} --rig {input.rig:q} '
        "--settings {params.settings:q} 2>&1 | tee {log:q}"
