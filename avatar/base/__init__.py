"""Errors, names, files, memory and the parts shared by every command line."""
