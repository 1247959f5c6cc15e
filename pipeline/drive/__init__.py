"""Drive an avatar: by a track, recorded coefficients, a video or a sweep, to video or images."""
