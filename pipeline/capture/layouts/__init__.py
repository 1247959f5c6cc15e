"""Layouts of captures, one module each (see `pipeline.capture.read.Layout`)."""
