"""Density control: where Gaussians are added and taken away while training.

`change` is what a round does to the rows, `adaptive` the paper's clone, split, prune and reset,
`budget` relocation and noise under a fixed number, `control` decides when.
"""
