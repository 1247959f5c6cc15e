"""An avatar as one HTML file that moves in a browser; docs/player.md describes it."""
