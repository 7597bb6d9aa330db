"""Images: what a folder holds, its split, decoded pixels, augmented batches."""

from budgetnet.learn.data.augment import Augmentation
from budgetnet.learn.data.batches import Batch, TrainBatches, batches, prepare, train_batch
from budgetnet.learn.data.cache import Pixels, open_cache
from budgetnet.learn.data.decode import decode
from budgetnet.learn.data.draw import draw, train_order
from budgetnet.learn.data.images import ImageSet, Preprocessing, default_preprocessing, needed_side_px
from budgetnet.learn.data.scan import open_images

__all__ = [
    "Augmentation",
    "Batch",
    "ImageSet",
    "Pixels",
    "Preprocessing",
    "TrainBatches",
    "batches",
    "decode",
    "default_preprocessing",
    "draw",
    "needed_side_px",
    "open_cache",
    "open_images",
    "prepare",
    "train_batch",
    "train_order",
]
