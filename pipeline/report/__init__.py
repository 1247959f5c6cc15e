"""Report: what is known of one subject as a page: figures, pictures, quality, provenance."""
