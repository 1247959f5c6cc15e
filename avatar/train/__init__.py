"""Training: trainer, optimiser, presets, density control, checkpoints, log."""
