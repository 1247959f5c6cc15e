"""An avatar in a browser, live: of a finished subject, or of one that is being trained."""
