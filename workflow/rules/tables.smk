# Depends on nothing: it reads what is there, so it never trains.
rule tables:
    log:
        "results/logs/tables.log",
    localrule: True
    shell:
        '"$PYTHON" -m pipeline.evaluate.tables 2> {log:q}'
