"""Layouts of captures that are understood, one module each (see `pipeline.capture.read.Layout`)."""
