# From head-capture video to avatar and metric tables. Wiring only: helpers in workflow/rules/common.smk.
from snakemake.utils import min_version, validate

min_version("9.0")


configfile: "config/config.yaml"


# For whoever runs with --software-deployment-method apptainer; `make` needs no container.
container: "docker://python:3.11-bookworm"


validate(config, "workflow/schemas/config.schema.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/rig.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/matte.smk"
include: "workflow/rules/track.smk"
include: "workflow/rules/pack.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"


wildcard_constraints:
    subject=names.PATTERN,
    rig=names.PATTERN,


check_targets()


rule all:
    default_target: True
    input:
        [finished(subject) for subject in SUBJECTS if subject != DEMO],
    localrule: True


# A subject's name makes all of that subject.
for subject in SUBJECTS:

    rule:
        name:
            subject
        input:
            finished(subject),
        localrule: True


onsuccess:
    shell(TABLES)


onerror:
    shell(TABLES)
    # Snakemake adds lines of its own after this: the failures shall come last.
    atexit.register(print_failures)
