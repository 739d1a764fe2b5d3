"""The U-Net of Topeza (2025), section 4.1, as its words describe it, where the published code differs from them."""

import itertools

from torch import nn

from core.denoisers.unet import BiasFreeNorm, UNet, parameter_count


def not_normalised(model: nn.Module) -> list[nn.Conv2d]:
    """Convolutions of the blocks that no normalisation follows."""
    found: list[nn.Conv2d] = []
    for block in model.modules():
        if isinstance(block, nn.Sequential):
            for layer, after in itertools.pairwise([*block, nn.Identity()]):
                if isinstance(layer, nn.Conv2d) and not isinstance(after, BiasFreeNorm):
                    found.append(layer)
    return found


def normalised_everywhere(model: UNet) -> dict[str, int]:
    """Parameters if every convolution of every block were normalised, as the text says, and how many are not."""
    bare = not_normalised(model)
    factors = sum(layer.out_channels for layer in bare)  # one a channel
    return {
        "parameters by the words": parameter_count(model) + factors,
        "convolutions that the code does not normalise": len(bare),
    }
