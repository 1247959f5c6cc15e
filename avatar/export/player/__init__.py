"""An avatar as one HTML file that moves in a browser; `web/README.md` describes its scripts."""
