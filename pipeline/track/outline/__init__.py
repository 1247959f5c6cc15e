"""Outlines: silhouette, static offsets, torso, overlap."""
