"""Ingest: decode, synchronise, frame and store a capture's images."""
