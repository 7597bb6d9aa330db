"""Images: what a folder holds, its split, decoded pixels.

What needs torch is not named here but in its own module (`batches`, `augment`): exported files are given images without
it.
"""

from budgetnet.data.cache import Pixels, open_cache
from budgetnet.data.decode import decode, scaled_px
from budgetnet.data.draw import draw, evenly, train_order
from budgetnet.data.fitting import Box, centre_box, network_pixels
from budgetnet.data.folders import Data, Folders, data_of, identity_of, name_of
from budgetnet.data.images import ImageSet, Preprocessing, default_preprocessing, needed_side_px
from budgetnet.data.scan import open_images
from budgetnet.data.telling import tell_images

__all__ = [
    "Box",
    "Data",
    "Folders",
    "ImageSet",
    "Pixels",
    "Preprocessing",
    "centre_box",
    "data_of",
    "decode",
    "default_preprocessing",
    "draw",
    "evenly",
    "identity_of",
    "name_of",
    "needed_side_px",
    "network_pixels",
    "open_cache",
    "open_images",
    "scaled_px",
    "tell_images",
    "train_order",
]
