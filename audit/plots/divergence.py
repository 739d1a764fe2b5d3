"""Picture of a denoiser's divergence beside the integral of its excess error."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from audit.measures.divergence import NETWORK, SIGMAS, Sides


def draw_sides(found: dict[str, Sides]) -> Figure:
    """What every noise level adds to the integral, and both sides by denoiser."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), gridspec_kw={"wspace": 0.9})
    networks = [name for name in found if name.startswith(NETWORK)]
    styles: dict[str, tuple[str, str | None]] = {
        name: (f"C{k}", name) for k, name in enumerate(n for n in found if n not in networks)
    }
    styles |= {name: ("0.6", f"networks, {len(networks)} seeds" if name == networks[0] else None) for name in networks}
    for name, (colour, label) in styles.items():
        excess = found[name].excess
        assert excess is not None
        left.loglog(SIGMAS, excess / SIGMAS**2, color=colour, label=label, lw=1.2)
    left.set(xlabel="sigma", ylabel="integrand over log sigma", ylim=(1e-6, None))
    left.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    rows = np.arange(len(found))
    for offset, colour, label, value, error in (
        (-0.2, "#b5432a", "divergence", lambda s: s.divergence, lambda s: s.divergence_error),
        (0.2, "#3a6ea5", "integral", lambda s: s.integral, lambda s: s.integral_error),
    ):
        right.barh(
            rows + offset,
            [value(s) for s in found.values()],
            0.38,
            xerr=[error(s) for s in found.values()],
            color=colour,
            label=label,
        )
    right.set_yticks(rows, list(found), fontsize=7)
    right.invert_yaxis()
    right.set(xscale="log", xlabel="nats; whiskers: quadrature error")
    right.legend(fontsize=7, frameon=False)
    return figure
