"""The stages around the avatar: video, mattes, tracking, packing, tables."""
