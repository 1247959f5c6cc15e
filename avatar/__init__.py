"""The avatar: rig, Gaussians bound to it, renderers, training and pixel metrics."""

__version__ = "0.1.0"
