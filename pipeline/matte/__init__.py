"""Matte: one alpha a frame."""
