"""Quality measures, plot and overlay of a track."""
