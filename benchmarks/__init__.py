"""One script for each measured claim of docs/; `benchmarks.report` writes their tables."""
