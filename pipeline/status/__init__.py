"""Status: how far every subject is, stage by stage."""
