"""Poses and expressions of all frames, refined through an avatar."""
