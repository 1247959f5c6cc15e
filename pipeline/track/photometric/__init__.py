"""Refinement of the motion by the colours of the skin."""
