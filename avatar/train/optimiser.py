"""Adam over everything that is trained, and its moments when Gaussians are added and removed."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar.gaussians.model import PARAMETERS, RiggedGaussians
from avatar.train.density.change import Change
from avatar.train.presets import Rates, RigTuning

_ROTATIONS = ("rotation", "neck_pose", "jaw_pose", "eyes_pose")
_COLORS = ("sh_dc", "sh_rest", "basis_colors")
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class Optimiser:
    """One parameter group per tensor, named after it, so that each has its own rate.

    Attributes:
        gaussians: the current Gaussians; their tensors are leaves.
        rig: tuned rig parameters by name, each [T, _]; leaves.
        camera_colors: [C, 3, 4], see `avatar.gaussians.camera_colors`; a leaf, or None.
        means_rate: rate of the means, face scales a step, as of the last `schedule`.
    """

    def __init__(
        self,
        gaussians: RiggedGaussians,
        rig: dict[str, Tensor],
        rates: Rates,
        tuning: RigTuning,
        means_unit: float,
        timesteps: Int[Tensor, "S"],
        camera_colors: Float[Tensor, "C 3 4"] | None = None,
        identity: dict[str, Tensor] | None = None,
        color_eps: float = 0.0,
    ) -> None:
        """Make leaves of everything.

        Args:
            rig: initial rig parameters; those with a rate of zero stay constants.
            timesteps: those that are trained on.
            means_unit: multiplies the rate of the means.
            identity: leaves of `avatar.train.identity`, by name; this dictionary is kept.
            color_eps: Adam's epsilon of the Gaussians' colours, if larger than that of the rates.
        """
        self._rates, self._means_unit = rates, means_unit
        self.means_rate = rates.means_first * means_unit
        self._base = {
            "means_local": 0.0,  # set by `schedule`
            "log_scales": rates.scales,
            "quats_local": rates.quats,
            "opacity_logits": rates.opacities,
            "sh_dc": rates.sh_dc,
            "sh_rest": rates.sh_rest,
            "basis_means": rates.basis_means,
            "basis_colors": rates.basis_colors,
            "camera_colors": rates.camera_colors,
            "expr": tuning.expr,
            "translation": tuning.translation,
            "neck_shift": tuning.translation,
            "soft_offset": 0.0,
            "shape": tuning.shape,
            "static_offset": tuning.static_offset,
        } | dict.fromkeys(_ROTATIONS, tuning.pose)
        copies = {name: value.clone() for name, value in gaussians.tensors().items()}
        self.gaussians = RiggedGaussians(**copies)
        tensors = {name: getattr(self.gaussians, name) for name in PARAMETERS}
        self.rig = {
            name: value.detach().clone() for name, value in rig.items() if self._base[name] > 0
        }
        self._tracked = {name: value.clone() for name, value in self.rig.items()}
        self._timesteps = timesteps if tuning.centred else timesteps[:0]
        self._identity = {} if identity is None else identity
        tensors |= self.rig | self._identity
        self.camera_colors = camera_colors
        if camera_colors is not None:
            tensors["camera_colors"] = camera_colors
        groups = [
            {
                "params": [value.requires_grad_()],
                "name": name,
                "lr": 0.0,
                "eps": max(rates.eps, color_eps if name in _COLORS else 0.0),
            }
            for name, value in tensors.items()
        ]
        self._adam = torch.optim.Adam(groups, fused=True)
        self._groups = {group["name"]: group for group in self._adam.param_groups}

    def schedule(self, share: float) -> None:
        """Set the rates for a share 0..1 of the run that is done."""
        rates = self._rates
        fall = rates.final ** max(0.0, 2 * share - 1)
        for name, group in self._groups.items():
            group["lr"] = self._base[name] * fall
        means = rates.means_first * (rates.means_last / rates.means_first) ** share
        self.means_rate = means * self._means_unit
        self._groups["means_local"]["lr"] = self.means_rate

    def step(self) -> None:
        """Update everything by its gradient, and clear the gradients."""
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        if len(self._timesteps):
            self._centre()

    @torch.no_grad()
    def _centre(self) -> None:
        """Subtract the mean change over the training timesteps from the rig's parameters."""
        rows = self._timesteps
        for name, value in self.rig.items():
            value[rows] -= (value[rows] - self._tracked[name][rows]).mean(0)

    def apply(self, change: Change) -> None:
        """Replace the Gaussians; fresh ones start with moments of zero."""
        for name in PARAMETERS:
            self._replace(name, getattr(change.gaussians, name), change.source, change.fresh)
        self.gaussians = change.gaussians

    def set_opacities(self, gaussians: RiggedGaussians) -> None:
        """Replace the opacities and clear their moments; everything else is unchanged."""
        logits = gaussians.opacity_logits
        rows = torch.arange(len(gaussians), device=logits.device)
        self._replace("opacity_logits", logits, rows, torch.ones_like(logits, dtype=torch.bool))
        self.gaussians = gaussians

    @torch.no_grad()
    def move_means(self, step: Float[Tensor, "N 3"]) -> None:
        """Add to the local means, beside their gradients."""
        self.gaussians.means_local += step

    def _replace(self, name: str, value: Tensor, source: Tensor, fresh: Bool[Tensor, "M"]) -> None:
        group = self._groups[name]
        state = self._adam.state.pop(group["params"][0], None)
        group["params"] = [value.requires_grad_()]
        if state is None:
            return
        for key in ("exp_avg", "exp_avg_sq"):
            state[key] = state[key][source]
            state[key][fresh] = 0
        self._adam.state[value] = state

    def tensors(self) -> dict[str, Tensor]:
        """All that the next step depends on, by name: values, binding and moments."""
        found = {"binding": self.gaussians.binding}
        for name, group in self._groups.items():
            (value,) = group["params"]
            found[name] = value.detach()
            state = self._adam.state.get(value, {})
            found |= {f"{name}.{key}": state[key] for key in _MOMENTS if key in state}
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` returned."""
        self._adam.state.clear()
        for name, group in self._groups.items():
            value = tensors[name].requires_grad_()
            group["params"] = [value]
            moments = {k: tensors[f"{name}.{k}"] for k in _MOMENTS if f"{name}.{k}" in tensors}
            if moments:
                self._adam.state[value] = moments
            for holder in (self.rig, self._identity):
                if name in holder:
                    holder[name] = value
            if name == "camera_colors":
                self.camera_colors = value
        local = {name: self._groups[name]["params"][0] for name in PARAMETERS}
        self.gaussians = RiggedGaussians(**local, binding=tensors["binding"])
