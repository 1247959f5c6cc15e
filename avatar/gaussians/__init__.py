"""Gaussians bound to triangles: parameters, binding, expression basis, camera colours."""
