"""A trained avatar in motion: poses by name, cameras, batches of rendered frames."""
