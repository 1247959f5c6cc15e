# The workflow, where one looks for it first; the catalogue of workflows looks in workflow/.
include: "workflow/Snakefile"


workflow.default_target = "all"  # an included file sets none
