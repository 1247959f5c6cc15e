"""What the Snakefile needs to know: subjects, their settings, what they are made from, failures.

Plain Python: no torch, no video and no model is imported here.
"""
