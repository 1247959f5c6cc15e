"""The avatar: rig, Gaussians bound to it, renderers, training and pixel metrics."""

import os

__version__ = "0.1.0"

# Worker threads sleep between parallel loops instead of spinning: a second process on the same
# cores otherwise makes a training step ten times slower. Read when OpenMP loads, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
