"""Training of denoisers: options, presets, the trainer, the grid of an experiment, and the store of what is trained."""
