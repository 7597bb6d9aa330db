"""Images: what a folder holds, its split, decoded pixels, augmented batches."""

from budgetnet.learn.data.cache import Pixels, open_cache
from budgetnet.learn.data.decode import decode
from budgetnet.learn.data.images import ImageSet, Preprocessing, default_preprocessing, needed_side_px
from budgetnet.learn.data.scan import open_images

__all__ = [
    "ImageSet",
    "Pixels",
    "Preprocessing",
    "decode",
    "default_preprocessing",
    "needed_side_px",
    "open_cache",
    "open_images",
]
