"""Renders of a trained avatar and pixel metrics."""
