# From head-capture video to an avatar and metric tables. Wiring only: helpers in
# workflow/rules/common.smk and pipeline/graph/.
from snakemake.utils import min_version

min_version("9.0")


# `snakemake --lint` asks for one. Jobs run in the environment that Snakemake itself runs in.
container: "docker://python:3.11-bookworm"


include: "workflow/rules/common.smk"
include: "workflow/rules/rig.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/matte.smk"
include: "workflow/rules/track.smk"
include: "workflow/rules/pack.smk"
include: "workflow/rules/refine.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/tables.smk"


# The first page of `snakemake --report`.
report: "workflow/report/workflow.rst"


wildcard_constraints:
    subject=names.PATTERN,
    rig=names.PATTERN,
    made_from="[0-9a-f]{12}",


CAPTURE, SETTINGS = or_stop(find_subjects)
SUBJECTS = [*sorted(CAPTURE.paths), DEMO]
check_flame()
check_targets()


rule all:
    default_target: True
    input:
        [finished(subject) for subject in SUBJECTS if subject != DEMO],
        [report_of(subject) for subject in SUBJECTS if subject != DEMO],
        pages_of_all(),
    localrule: True


# A subject's name makes all of that subject.
for subject in SUBJECTS:

    rule:
        name:
            subject
        input:
            finished(subject),
            report_of(subject),
            pages_of_all(),
        localrule: True


onstart:
    follow_attempts()


onsuccess:
    shell(TABLES)


onerror:
    shell(TABLES)
    # Snakemake adds lines of its own after this: the failures shall come last.
    atexit.register(print_failures)
