"""`dataset.h5` and its frames: layout, writer, reader, cameras, image codecs."""
