"""What several stages use: the quality gate and threads."""
