"""The avatar's Gaussians: raw local parameters, and the one function that activates them."""

import math
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.gaussians.binding import carry_to_world
from avatar.gaussians.fused_binding import place
from avatar.render import WorldGaussians

SH_C0 = 0.28209479177387814  # the constant spherical harmonic, 1 / (2 sqrt(pi))
PARAMETERS = (
    *("means_local", "log_scales", "quats_local", "opacity_logits"),
    *("sh_dc", "sh_rest", "basis_means", "basis_colors"),
)


@dataclass
class RiggedGaussians:
    """N Gaussians, each in the frame of one triangle; before activation, as they are optimised.

    Attributes:
        means_local: centres in units of the face's scale (dimensionless).
        log_scales: logarithm of the standard deviations in units of the face's scale.
        quats_local: rotations against the face, wxyz, any non-zero length.
        opacity_logits: inverse sigmoid of the opacity.
        sh_dc: constant colour coefficient.
        sh_rest: the other spherical-harmonics coefficients; none at degree 0.
        basis_means: change of the mean with each of K weights (`gaussians.basis`); K may be 0.
        basis_colors: the same of the constant colour coefficient.
        binding: face of each Gaussian.
    """

    means_local: Float[Tensor, "N 3"]
    log_scales: Float[Tensor, "N 3"]
    quats_local: Float[Tensor, "N 4"]
    opacity_logits: Float[Tensor, "N"]
    sh_dc: Float[Tensor, "N 1 3"]
    sh_rest: Float[Tensor, "N R 3"]
    basis_means: Float[Tensor, "N 3 K"]
    basis_colors: Float[Tensor, "N 3 K"]
    binding: Int[Tensor, "N"]

    def __len__(self) -> int:
        return self.binding.shape[0]

    @property
    def sh_degree(self) -> int:
        """The degree that the coefficients reach."""
        return round((self.sh_rest.shape[1] + 1) ** 0.5) - 1

    @classmethod
    def on_faces(
        cls,
        num_faces: int,
        sh_degree: int = 0,
        opacity: float = 0.1,
        basis: int = 0,
        scale: float = 1.0,
        thickness: float = 1.0,
    ) -> "RiggedGaussians":
        """One Gaussian per triangle: round in its plane, at its centroid, grey.

        Args:
            num_faces: F.
            sh_degree: 0..3, the degree that colours can reach.
            opacity: 0..1.
            basis: K, how many weights change means and colours; the changes begin at zero.
            scale: standard deviation in the triangle's plane, in units of the face's scale.
            thickness: standard deviation along the normal, in units of `scale`.
        """
        log_scales = torch.full((num_faces, 3), math.log(scale))
        log_scales[:, 1] += math.log(thickness)  # the second axis of a face's frame is its normal
        quats = torch.zeros(num_faces, 4)
        quats[:, 0] = 1.0
        return cls(
            means_local=torch.zeros(num_faces, 3),
            log_scales=log_scales,
            quats_local=quats,
            opacity_logits=torch.full((num_faces,), opacity).logit(),
            sh_dc=torch.zeros(num_faces, 1, 3),
            sh_rest=torch.zeros(num_faces, (sh_degree + 1) ** 2 - 1, 3),
            basis_means=torch.zeros(num_faces, 3, basis),
            basis_colors=torch.zeros(num_faces, 3, basis),
            binding=torch.arange(num_faces),
        )

    def activate(
        self,
        verts: Float[Tensor, "*B V 3"],
        faces: Int[Tensor, "F 3"],
        sh_degree: int | None = None,
        weights: Float[Tensor, "*B K"] | None = None,
    ) -> WorldGaussians:
        """Activate the parameters and carry them to world space.

        `mean = k R mean_local + origin`, `scale = k exp(log_scale)`, `quat = q_face (x) q_local`,
        opacity by the sigmoid; colour is not touched by the face.

        Args:
            verts: posed mesh at one timestep or a batch, metres, world frame.
            faces: vertex indices of the mesh's faces.
            sh_degree: the degree to colour with; all there is if None.
            weights: of the basis at each timestep; without them it adds nothing.
        """
        means, sh_dc = self.means_local, self.sh_dc
        if weights is not None and self.basis_means.shape[-1]:
            means = means + _blend(self.basis_means, weights)
            sh_dc = sh_dc + _blend(self.basis_colors, weights)[..., None, :]
        fused = verts.device.type == "cpu" and verts.dtype == torch.float32
        carry = place if fused else carry_to_world
        means, quats, scales = carry(
            verts, faces, self.binding, means, self.log_scales, self.quats_local
        )
        sh_rest = self.sh_rest.expand(*sh_dc.shape[:-2], -1, -1)
        return WorldGaussians(
            means=means,
            quats=quats,
            scales=scales,
            opacities=self.opacity_logits.sigmoid(),
            sh_coeffs=torch.cat([sh_dc, sh_rest], -2),
            sh_degree=self.sh_degree if sh_degree is None else sh_degree,
        )

    def to(self, device: torch.device | str) -> "RiggedGaussians":
        """The same values on a device."""
        return replace(self, **{name: value.to(device) for name, value in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, detached."""
        return {field.name: getattr(self, field.name).detach() for field in fields(self)}

    def detached(self) -> "RiggedGaussians":
        """The same values, out of the graph."""
        return replace(self, **self.tensors())


def color_to_sh(color: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    """The constant coefficient that shows an RGB colour 0..1 from everywhere."""
    return (color - 0.5) / SH_C0


def _blend(
    basis: Float[Tensor, "N 3 K"], weights: Float[Tensor, "*B K"]
) -> Float[Tensor, "*B N 3"]:
    """Sum of the basis by weights: one product over the flattened basis, at memory speed."""
    n, _, size = basis.shape
    blended = weights.reshape(-1, size) @ basis.reshape(-1, size).T
    return blended.reshape(*weights.shape[:-1], n, 3)
