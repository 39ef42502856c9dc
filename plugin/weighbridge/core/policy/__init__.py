"""Which rules match a call, whether it fits the window, and how much to hold."""
