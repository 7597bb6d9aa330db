"""How large a network may be: far above any that was published, and so that all of them are priced in seconds.

For comparison: EfficientNet-L2 has 88 blocks, 5504 channels in its head and 800 px; ResNet-1202 some 600 blocks;
FBNet's tables 22 stages; RepLKNet and SLaK kernels of 31 and 51; ImageNet-21k has 21,841 classes.
"""

from __future__ import annotations

MOST_STAGES = 256
MOST_BLOCKS = 10_000
"""All stages of a network have at most this many blocks together."""
MOST_CHANNELS = 1_000_000
"""The most channels of a stem, a stage, a head or a hidden layer; also the largest multiple that channels are rounded
to."""
MOST_EXPANSION = 1_000.0
MOST_KERNEL = 255
MOST_PX = 100_000
"""A side of an image has at most this many pixels."""
MOST_CLASSES = 10_000_000
MOST_IN_CHANNELS = 10_000
"""The most channels of an image: a hyperspectral one has hundreds."""
MOST_BETA = 1e6
"""The largest beta of Swish: at a hundred it already looks like a ReLU."""
MOST_NAME, MOST_SOURCE = 1_000, 10_000
MOST_TEXT = 1 << 22
"""The most characters of a network's file: one of 256 stages has about 200,000."""
