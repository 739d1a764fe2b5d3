"""Denoisers: the network, the samplers, and the oracles whose optimum is known in closed form."""
