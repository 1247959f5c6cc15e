rule demo_capture:
    input:
        "results/rigs/anny.npz",
    output:
        "results/demo/capture/cameras.json",
    log:
        "results/logs/demo/demo_capture.log",
    threads: cores_of_a_job
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        version=plan.VERSIONS["demo_capture"],
    shell:
        '"$PYTHON" -m pipeline.demo --out results/demo --rig {input:q} 2>&1 | tee {log:q}'
