"""Theory of generalisation and memorisation: mixtures, random features, training curves, critical sizes and times."""
