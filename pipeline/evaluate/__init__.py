"""Evaluate: renders, metrics, tables."""
