"""Import MediaPipe's core alone: a tenth of a second instead of half a one, in every process.

The package imports all it has when any of it is wanted: its newer interface with a sound library,
and matplotlib for one function that plots in 3D. Here these wait until somebody asks for them.
"""

import importlib
import os
import sys
from types import ModuleType

_DEFERRED = ("matplotlib", "matplotlib.pyplot", "mediapipe.tasks", "mediapipe.tasks.python")


def import_mediapipe() -> None:
    """Import `mediapipe`; what it would import beside its core is imported on first use."""
    if "mediapipe" in sys.modules:
        return
    # Both are read when the libraries load.
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    put_off = {name: _stand_in(name) for name in _DEFERRED if name not in sys.modules}
    sys.modules.update(put_off)
    try:
        importlib.import_module("mediapipe")
    finally:
        for name in put_off:
            del sys.modules[name]


def _stand_in(name: str) -> ModuleType:
    """A module that becomes the real one when something of it is asked for."""
    module = ModuleType(name)

    def find(attribute: str) -> object:
        if sys.modules.get(name) is module:  # still standing in
            raise AttributeError(attribute)
        return getattr(importlib.import_module(name), attribute)

    module.__getattr__ = find  # type: ignore[method-assign]
    return module
