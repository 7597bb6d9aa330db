"""Images: what a folder holds, its split, decoded pixels, augmented batches."""

from budgetnet.data.augment import Augmentation
from budgetnet.data.batches import (
    Batch,
    Box,
    TrainBatches,
    batches,
    centre_box,
    input_batches,
    network_pixels,
    prepare,
    train_batch,
)
from budgetnet.data.cache import Pixels, open_cache
from budgetnet.data.decode import decode, scaled_px
from budgetnet.data.draw import draw, evenly, train_order
from budgetnet.data.folders import Data, Folders, data_of, identity_of, name_of
from budgetnet.data.images import ImageSet, Preprocessing, default_preprocessing, needed_side_px
from budgetnet.data.scan import open_images
from budgetnet.data.telling import tell_images

__all__ = [
    "Augmentation",
    "Batch",
    "Box",
    "Data",
    "Folders",
    "ImageSet",
    "Pixels",
    "Preprocessing",
    "TrainBatches",
    "batches",
    "centre_box",
    "data_of",
    "decode",
    "default_preprocessing",
    "draw",
    "evenly",
    "identity_of",
    "input_batches",
    "name_of",
    "needed_side_px",
    "network_pixels",
    "open_cache",
    "open_images",
    "prepare",
    "scaled_px",
    "tell_images",
    "train_batch",
    "train_order",
]
