"""What a capture is: model, layouts, calibration, colour, inspection."""
