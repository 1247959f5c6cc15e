"""Pack: everything a trainer needs, in one file."""
