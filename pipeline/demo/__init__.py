"""A synthetic head capture with its truth: what `make demo` runs on."""
