"""An avatar's files."""
