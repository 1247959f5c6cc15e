"""Pictures of the player's avatar, as the CPU renderer would give them."""

import base64
import json

import numpy as np
from jaxtyping import Float

from avatar.render import Views
from tests.browser.chromium import Page

_BASE64 = """
(() => {{
  const bytes = headsplat.render({pose}, {camera}, {width}, {height});
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}})()
"""


def rendered(tab: Page, timestep: int, views: Views) -> Float[np.ndarray, "H W 3"]:
    """A timestep as the browser draws it before white, 0..1.

    Args:
        tab: with an open player.
        views: one camera.
    """
    K, viewmat = views.Ks[0].tolist(), views.viewmats[0]
    camera = {
        "turn": viewmat[:3, :3].flatten().tolist(),
        "shift": viewmat[:3, 3].tolist(),
        "focal": [K[0][0], K[1][1]],
        "centre": [K[0][2], K[1][2]],
    }
    pose = f"headsplat.recording.pose({timestep})"
    size = {"width": views.width, "height": views.height}
    data = base64.b64decode(
        tab.evaluate(_BASE64.format(pose=pose, camera=json.dumps(camera), **size))
    )
    rgba = np.frombuffer(data, np.uint8).reshape(views.height, views.width, 4) / 255
    return rgba[..., :3] + 1 - rgba[..., 3:]
