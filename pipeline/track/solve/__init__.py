"""The tracker's least-squares problem and its solver."""
