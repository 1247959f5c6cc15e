rule track:
    input:
        ready_files,
        rig=rig_of,
        frames="results/{subject}/ingest/frames.h5",
        alpha="results/{subject}/matte/alpha.h5",
    output:
        params="results/{subject}/track/params.npz",
        cameras="results/{subject}/track/cameras.json",
        overlay="results/{subject}/track/overlay.mp4",
        quality="results/{subject}/track/quality.json",
        plot="results/{subject}/track/quality.png",
    log:
        "results/logs/{subject}/track.log",
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        capture=capture_of,
        settings=settings_of("track"),
        version=STAGE_VERSIONS["track"],
    shell:
        '"$PYTHON" -m pipeline.track --subject {wildcards.subject:q} --rig {input.rig:q} '
        "--capture {params.capture:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
