"""What the tracker observes, and which observations are outliers."""
