"""Head rigs: anny and FLAME, with their landmark embedding."""
