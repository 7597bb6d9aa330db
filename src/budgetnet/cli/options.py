"""Options that several commands share, and how their text becomes values."""

from __future__ import annotations

import dataclasses
import difflib
import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

from budgetnet.arguments import integer
from budgetnet.atomic_write import written_aside
from budgetnet.cli import sizes
from budgetnet.networks import Network, Px
from budgetnet.networks.scaling import Coefficients, FitStrategy, Strategy, adapt
from budgetnet.reading import file_content

if TYPE_CHECKING:
    from budgetnet.budgets.budget import Budget
    from budgetnet.cluster.ray_cluster import Cluster
    from budgetnet.costs.latency import DeviceTiming
    from budgetnet.data import Data
    from budgetnet.training.augmenting import Augment

Number = Literal["float32", "float16", "int8"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Runtime = Literal["deployed", "tflite_micro"]

IMAGES = Group("Images", sort_key=0)
LIMITS = Group("Limits", sort_key=1)
NETWORK = Group("Network", sort_key=2)
TRAINING = Group("Training", sort_key=3)
AUGMENTATION = Group("Augmentation", sort_key=4)
COMPUTING = Group("Computing", sort_key=5)
OUTPUT = Group("Output", sort_key=6)


def read(parse: Callable[[str], Any]) -> Callable[[Any, Sequence[Token]], Any]:
    """A cyclopts converter of one token from a function of its text."""
    return lambda _, tokens: parse(tokens[0].value)


def read_list(_: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Names apart by spaces or by commas."""
    return tuple(name for token in tokens for name in token.value.split(",") if name)


def read_numbers(_: Any, tokens: Sequence[Token]) -> tuple[float, ...]:
    """Numbers apart by spaces or by commas. Raises a one-line `ValueError` for what is none."""
    words = [word for token in tokens for word in token.value.split(",") if word]
    try:
        return tuple(map(sizes.number, words))
    except ValueError as error:
        raise ValueError(f"{', '.join(words)} are not numbers; give some as 0.5,1") from error


def read_coefficients(text: str) -> Coefficients:
    """alpha,beta,gamma, or the coefficients.json of a search, or its run's folder. Raises a one-line `ValueError`."""
    from budgetnet.budgets import coefficients_file

    if Path(text).exists():
        return coefficients_file.read_coefficients(Path(text))
    if "," in text and Path(text).suffix != ".json":
        return sizes.coefficients(text)
    clear = "write three numbers as in 1.2,1.1,1.15, or give a coefficients.json"
    raise ValueError(f"{text!r} is neither alpha,beta,gamma nor a file; {clear}")


COUNT = Parameter(converter=read(sizes.count), metavar="COUNT")
BYTES = Parameter(converter=read(sizes.size_bytes), metavar="BYTES")
TIME = Parameter(converter=read(sizes.seconds), metavar="TIME")
WHOLE = Parameter(converter=read(sizes.whole))
"""Every option that is an integer is read by this: cyclopts alone would round 1.5."""
REAL = Parameter(converter=read(sizes.number))

AsJson = Annotated[bool, Parameter(name="--json", group=OUTPUT, help="Print one JSON object and nothing else.")]
Out = Annotated[Path | None, Parameter(group=OUTPUT, metavar="FILE", help="Write the network to this .json file.")]
StrategyOption = Annotated[
    Strategy, Parameter(group=NETWORK, help="How compute is shared among depth, width and resolution.")
]
FitStrategyOption = Annotated[
    FitStrategy,
    Parameter(
        group=NETWORK,
        help="How compute is shared among depth, width and resolution; joint has a dial for each, staged those of each "
        "stage.",
    ),
]
CoefficientsOption = Annotated[
    Coefficients,
    Parameter(
        converter=read(read_coefficients),
        group=NETWORK,
        n_tokens=1,
        accepts_keys=False,
        metavar="A,B,G|FILE",
        show_default=lambda value: f"{value.alpha},{value.beta},{value.gamma}",
        help="alpha,beta,gamma of the compound strategy, or the coefficients.json of a search.",
    ),
]
MaxError = Annotated[
    float | None,
    Parameter(
        converter=read(sizes.share),
        metavar="SHARE",
        help="Accept at most this share of wrong answers, as 2%: less sure ones do not count (docs/trust.md).",
    ),
]
DeviceOption = Annotated[
    Device, Parameter(group=COMPUTING, help="Where it is computed; auto: on a CUDA GPU where there is one.")
]


@Parameter(name="*", group=LIMITS)
@dataclass(frozen=True, slots=True)
class Limits:
    """The fields of a `Budget` as options, and a device preset to start from."""

    macs: Annotated[int | None, COUNT, Parameter(help="Most multiply-adds for one image, as 60M.")] = None
    params: Annotated[int | None, COUNT, Parameter(help="Most parameters, as 3M.")] = None
    weight_bytes: Annotated[int | None, BYTES, Parameter(help="Most bytes of weights (flash), as 4MiB.")] = None
    peak_activation_bytes: Annotated[
        int | None, BYTES, Parameter(help="Most bytes of live activations (SRAM), as 512KiB.")
    ] = None
    peak_bytes: Annotated[int | None, BYTES, Parameter(help="Most bytes of weights and activations together.")] = None
    train_bytes: Annotated[
        int | None,
        BYTES,
        Parameter(help="Most bytes while training, as 2GiB: priced at --batch; trainings keep it by their batch."),
    ] = None
    dtype: Annotated[Number | None, Parameter(help="Number type that the bytes are counted in.")] = None
    batch: Annotated[
        int | None, WHOLE, Parameter(metavar="N", help="Images at once that the bytes are counted for.")
    ] = None
    runtime: Annotated[
        Runtime | None,
        Parameter(help="What runs the network, for the bytes; deployed is the least that any can need."),
    ] = None
    latency: Annotated[
        int | None,
        Parameter(
            converter=read(sizes.microseconds),
            metavar="TIME",
            help="Most time of one image on the device of --device-file, as 8ms.",
        ),
    ] = None
    device_file: Annotated[
        Path | None, Parameter(metavar="FILE", help="The device.json of `budgetnet profile`, for --latency.")
    ] = None
    target: Annotated[
        str | None,
        Parameter(metavar="DEVICE", help="Limits of a device: `budgetnet zoo --devices` lists them; others override."),
    ] = None

    def given(self) -> dict[str, Any]:
        """The fields of a `Budget` that were set. Raises a one-line `ValueError` for a device file that is none."""
        others = ("target", "latency", "device_file")
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        rows = {name: value for name, value in fields.items() if value is not None and name not in others}
        if (self.latency is None) != (self.device_file is None):
            raise ValueError(
                "--latency and --device-file belong together: `budgetnet profile` writes a device.json, and --latency "
                "is the most time there"
            )
        if self.latency is not None and self.device_file is not None:
            from budgetnet.budgets.device_file import read_device

            rows |= {"latency_us": self.latency, "timing": read_device(self.device_file)}
        return rows

    def timing_alone(self) -> DeviceTiming | None:
        """How long networks take on a device that was given without a limit on latency; None where none was."""
        if self.device_file is None or self.latency is not None:
            return None
        from budgetnet.budgets.device_file import read_device

        return read_device(self.device_file)

    def any_limit(self) -> bool:
        """Whether there is a limit at all: a dtype, a batch or a runtime alone is none."""
        return self.target is not None or bool(self.given().keys() - {"dtype", "batch", "runtime"})

    def check(self) -> None:
        """Raise a one-line `ValueError` for a value that cannot be, also where nothing is asked of it."""
        if self.any_limit():
            self.budget()
        elif self.batch is not None:
            integer("batch", self.batch)

    def budget(self) -> Budget:
        """The budget that these options describe. Raises `ValueError` where they describe none."""
        if not self.any_limit():
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in LIMIT_NAMES)
            raise ValueError(f"give at least one limit: {flags} or --target")
        if self.target is not None:
            from budgetnet.budgets.devices import budget_for

            return budget_for(self.target, **self.given())
        from budgetnet.budgets.budget import Budget

        return Budget(**self.given())


Switch = Literal["auto", "on", "off"]


@Parameter(name="*", group=AUGMENTATION)
@dataclass(frozen=True, slots=True)
class Augmenting:
    """Which kinds of the recipe's augmentation are drawn."""

    flip: Annotated[
        Switch, Parameter(help="Left-right mirroring; auto: unless mirrored training images look like another class.")
    ] = "auto"
    turn: Annotated[Switch, Parameter(help="Turns and shears; auto: unless they make another class.")] = "auto"
    colour: Annotated[
        Switch,
        Parameter(name=("--colour", "--color"), help="Changes of colour; auto: unless colours tell classes apart."),
    ] = "auto"
    crop: Annotated[Switch, Parameter(help="Crops and shifts; auto is on, nothing is tested.")] = "auto"
    augment: Annotated[
        Literal["auto", "none"], Parameter(help="none: all of these off, and nothing else drawn either.")
    ] = "auto"

    def value(self) -> Augment:
        """What these options ask for. Raises `ValueError` for a kind beside --augment none."""
        from budgetnet.training.augmenting import Augment, augment_of

        kinds = {kind: getattr(self, kind) for kind in ("flip", "turn", "colour", "crop")}
        given = [kind for kind, switch in kinds.items() if switch not in ("auto", "off")]
        if self.augment == "none" and given:
            raise ValueError(f"--augment none leaves nothing for --{given[0]} on; give one of them")
        return augment_of("none") if self.augment == "none" else Augment(**kinds)


AS_THE_IMAGES_ALLOW = Augmenting()


FolderOption = Annotated[tuple[str, ...], Parameter(metavar="DIR", show_default=False, negative=())]


@Parameter(name="*", group=IMAGES)
@dataclass(frozen=True, slots=True)
class ByFolder:
    """Images in folders of their own for each split, whatever the folders are called."""

    train: Annotated[
        FolderOption, Parameter(help="In place of DATA: a folder whose folders are the classes. Repeatable.")
    ] = ()
    val: Annotated[FolderOption, Parameter(help="The same for validation; else it is carved from --train.")] = ()
    test: Annotated[FolderOption, Parameter(help="The same for the test; else it is carved from --train.")] = ()

    def data(self, data: str | None) -> Data:
        """The images of DATA or of these folders. Raises a one-line `ValueError` for both, none, or no --train."""
        given = self.others(data)
        if given is None:
            raise ValueError("give DATA, a folder with a folder of images for each class (or digits), or --train DIR")
        if not isinstance(given, str) and not given.train:
            raise ValueError(f"{given} is nothing to train on; give --train DIR as well")
        return given

    def others(self, data: str | None) -> Data | None:
        """The same where nothing is trained, or None where neither is given."""
        if not (self.train or self.val or self.test):
            return data
        if data is not None:
            raise ValueError("give either DATA or --train, --val and --test: the images are those of one or the other")
        from budgetnet.data import Folders

        return Folders(self.train, self.val, self.test)


@Parameter(name="*", group=COMPUTING)
@dataclass(frozen=True, slots=True)
class OnCluster:
    """The Ray cluster on which trainings run."""

    cluster: Annotated[
        str | None,
        Parameter(
            metavar="local|auto|ADDRESS",
            help="Train on a Ray cluster: one started here, the one of this machine, or HOST:PORT.",
        ),
    ] = None
    cpus_per_trial: Annotated[
        float | None, REAL, Parameter(metavar="N", help="CPUs that each trial on a cluster gets, 1 unless given.")
    ] = None
    gpus_per_trial: Annotated[
        float | None,
        REAL,
        Parameter(metavar="N", help="GPUs that each trial on a cluster gets, 0 unless given, or a part."),
    ] = None
    storage: Annotated[
        str | None,
        Parameter(
            metavar="PATH|URL",
            help="A folder that every node of the cluster sees, as /mnt/shared or s3://bucket/folder.",
        ),
    ] = None

    def value(self) -> Cluster | None:
        """The cluster that these options describe, if any. Raises `ValueError` for the others without --cluster."""
        names = ("cpus_per_trial", "gpus_per_trial", "storage")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if not given and self.cluster is None:
            return None
        from budgetnet.cluster.ray_cluster import Cluster
        from budgetnet.cluster.storage import check_storage

        if self.storage is not None:
            check_storage(self.storage)  # first, for a database's address was once given here, without a cluster too
        if self.cluster is None:
            raise ValueError(f"--{next(iter(given)).replace('_', '-')} is of trials on a cluster; give --cluster")
        return Cluster(self.cluster, **given)


BY_DATA = ByFolder()
HERE = OnCluster()
NO_LIMITS = Limits()
LIMIT_NAMES = ("macs", "params", "weight_bytes", "peak_activation_bytes", "peak_bytes", "train_bytes", "latency")


@Parameter(name="*", group=NETWORK)
@dataclass(frozen=True, slots=True)
class Shape:
    """What is set on a network before anything else: its classes, its resolution, its first strides."""

    classes: Annotated[
        int | None, WHOLE, Parameter(metavar="N", help="Classes, 1000 unless given; beside data as many as it has.")
    ] = None
    resolution: Annotated[
        Px | None,
        Parameter(converter=read(sizes.resolution_px), n_tokens=1, metavar="PX", help="Pixels: 224, or 192x256."),
    ] = None
    dropped_strides: Annotated[
        int, WHOLE, Parameter(metavar="N", help="First strides of 2 that become 1: for small images.")
    ] = 0

    def check(self) -> None:
        """Raise a one-line `ValueError` for a value that no network has."""
        if self.classes is not None:
            integer("classes", self.classes)
        integer("dropped_strides", self.dropped_strides, 0)

    def apply(self, network: Network) -> Network:
        """The network with these set."""
        self.check()
        if self.classes is not None and self.classes != network.classes:
            network = dataclasses.replace(network, classes=self.classes)
        if self.resolution is None and not self.dropped_strides:
            return network
        return adapt(network, self.resolution or network.resolution_px, self.dropped_strides)


AS_PUBLISHED = Shape()


def open_network(name: str) -> Network:
    """The network of the zoo, of a .json file or of a run's folder. Raises `ValueError` with the nearest name."""
    from budgetnet.networks import zoo

    path = Path(name)
    if path.is_dir() and (path / "network.json").is_file():
        path = path / "network.json"
    if path.suffix != ".json":
        try:
            return zoo.network(name)
        except ValueError as error:
            near = difflib.get_close_matches(name, zoo.names(), n=1)
            hint = f"did you mean {near[0]}?" if near else "give a zoo name, a .json file or a run's folder;"
            raise ValueError(f"there is no network {name!r}; {hint} `budgetnet zoo` lists all") from error
    if not path.exists():
        raise ValueError(f"there is no network file {name}; give a .json file or a name that `budgetnet zoo` lists")
    content = file_content(path)
    try:
        return Network.from_json(content)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def check_file(option: str, path: Path | None, what: str) -> None:
    """Raise `ValueError` or `OSError` before the work, not after it, where no .json file can be written there."""
    if path is None:
        return
    if path.suffix != ".json":
        raise ValueError(f"{option} is {path}; {what} ends in .json")
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def check_out(out: Path | None) -> None:
    """`check_file` of the file that `save_network` writes."""
    check_file("--out", out, "a network's file")


def save_network(network: Network, out: Path | None) -> None:
    """Write the network's file where one was asked for."""
    if out is None:
        return
    with written_aside(out) as aside:
        aside.write_text(network.to_json() + "\n", encoding="utf-8")
