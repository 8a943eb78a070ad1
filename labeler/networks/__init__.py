"""The networks and how to build one from its configuration."""

from labeler.networks.folded import FoldedUNet
from labeler.networks.residual_unet import NetworkConfig, ResidualUNet

__all__ = ["FoldedUNet", "NetworkConfig", "ResidualUNet"]
