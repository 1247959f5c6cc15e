"""FLAME, read from the user's own file, as a rig with teeth."""
