"""ImageNet and its parts: ImageNet-1k, ImageNet-100, Imagenette and Tiny-ImageNet, from folders as they are published.

Labels of all but Tiny-ImageNet are the classes of the 1,000 in the order of their WordNet ids, as networks that were
trained on ImageNet have their outputs. Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", 2015.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import cache_folder
from .data import Split
from .decoding import Crop
from .fetch import find, missing
from .pictures import Pictures, class_folders, image_folder

VALIDATION = "ILSVRC2012_val_"  # how the names of ImageNet's validation images begin, wherever they lie
IMAGENETTE = {  # by WordNet id, the place among the 1,000
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}
PLAIN = Crop(resize=None, size=64)  # of Tiny-ImageNet


def imagenet(crop: Crop, train: int = 20_000, seed: int = 0) -> tuple[Split | None, Split]:
    """A stratified choice of `train` training images, and all validation images, which networks were never trained on.

    From `imagenet/train/WNID/*` and `imagenet/val/WNID/*`. Where these are not there, from what of them
    is: the validation images of any classes in `imagenette-val/WNID/*`, and no training images.
    """
    folder = find("imagenet")
    if folder is not None:
        return _decoded(folder, class_folders(folder / "val"), crop, train, seed)
    folder = find("imagenette-val")
    if folder is None:
        raise missing("ImageNet", "imagenet/train/WNID/* and imagenet/val/WNID/*", FileNotFoundError("it is not free"))
    return None, _labelled(folder, class_folders(folder)).decoded(crop)


def imagenet100(crop: Crop, train: int = 20_000, seed: int = 0) -> tuple[Split | None, Split]:
    """As `imagenet`, of the 100 classes in the file `imagenet-100-wnids.txt`, one WordNet id a line.

    From `imagenet100/{train,val}/WNID/*`, which needs no such file, or from `imagenet/`.
    The list is that of Tian, Krishnan and Isola, "Contrastive Multiview Coding", ECCV 2020.
    """
    folder = find("imagenet100")
    if folder is not None:
        return _decoded(folder, class_folders(folder / "val"), crop, train, seed)
    folder, listed = find("imagenet"), find("imagenet-100-wnids.txt")
    if folder is None or listed is None:
        raise missing(
            "ImageNet-100",
            "imagenet100/train/WNID/* and imagenet100/val/WNID/*, or imagenet/ and imagenet-100-wnids.txt",
            FileNotFoundError("it is not free"),
        )
    return _decoded(folder, _listed(listed), crop, train, seed)


def imagenette(crop: Crop) -> tuple[Split | None, Split]:
    """The training images of ImageNet's ten easy classes, and the 500 that are ImageNet's validation images of them.

    From `imagenette2-320/{train,val}/WNID/*` or another of its sizes, else downloaded. Both of its own parts hold
    images that networks were trained on, so that they are taken apart by name. Howard, "Imagenette", 2019.
    """
    folder = next((found for size in ("-320", "", "-160") if (found := find(f"imagenette2{size}"))), None)
    folder = folder or _fetch_imagenette()
    parts = [_labelled(folder / part, class_folders(folder / part)) for part in ("train", "val")]
    both = Pictures(parts[0].files + parts[1].files, np.concatenate([part.labels for part in parts]))
    seen, unseen = both.named(VALIDATION, other=True), both.named(VALIDATION)
    if not len(unseen):
        raise InputError(f"{folder} must hold images whose names begin with {VALIDATION}, but has none; replace it")
    return (seen.decoded(crop) if len(seen) else None), unseen.decoded(crop)


def tiny_imagenet() -> tuple[Split, Split]:
    """Tiny-ImageNet's 100,000 training and 10,000 validation images, uint8[n, 64, 64, 3], of 200 classes.

    From `tiny-imagenet-200` as it is published: `wnids.txt`, `train/WNID/images/*`, `val/images/*` and
    `val/val_annotations.txt`; labels are places among the sorted ids. Le and Yang, "Tiny ImageNet", 2015.
    """
    folder = find("tiny-imagenet-200")
    if folder is None:
        url = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
        raise missing("Tiny-ImageNet", "tiny-imagenet-200/", FileNotFoundError(f"unpack {url} yourself"))
    wnids = sorted(_listed(folder / "wnids.txt"))
    train = image_folder(folder / "train", wnids)
    return train.decoded(PLAIN), _annotated(folder / "val", wnids).decoded(PLAIN)


def _annotated(folder: Path, wnids: Sequence[str]) -> Pictures:
    """Images in one folder whose classes a table says, in its order."""
    places = {wnid: place for place, wnid in enumerate(wnids)}
    table = folder / "val_annotations.txt"
    rows = [line.split("\t") for line in _lines(table)]
    bad = next((row for row in rows if len(row) < 2 or row[1] not in places), None)
    if bad is not None:
        raise InputError(
            f"{table} must name a file and one of {len(wnids)} classes a line, but one is {bad}; replace it"
        )
    files = tuple(folder / "images" / row[0] for row in rows)
    absent = next((path for path in files if not path.is_file()), None)
    if absent is not None:
        raise InputError(f"{table} must name files that are there, but {absent} is not; replace the folder")
    return Pictures(files, np.array([places[row[1]] for row in rows], dtype=np.int64))


def _decoded(folder: Path, wnids: Sequence[str], crop: Crop, train: int, seed: int) -> tuple[Split | None, Split]:
    """Both parts of an ImageNet folder, of some of its classes; no training images where there is no folder of them."""
    unseen = _labelled(folder / "val", wnids).decoded(crop)
    if not (folder / "train").is_dir():
        return None, unseen
    return _labelled(folder / "train", wnids).chosen(train, seed).decoded(crop), unseen


def _labelled(folder: Path, wnids: Sequence[str]) -> Pictures:
    """The images of some classes, labelled by their place among the 1,000."""
    if set(wnids) <= IMAGENETTE.keys():
        found = image_folder(folder, wnids)
        places = np.array([IMAGENETTE[wnid] for wnid in sorted(wnids)])
        return Pictures(found.files, places[found.labels])
    return image_folder(folder, wnids, of=sorted(_thousand()))


def _thousand() -> list[str]:
    """All 1,000 WordNet ids: from a list, or from the folders of the whole of ImageNet."""
    listed = find("imagenet-1k-wnids.txt")
    if listed is not None:
        return _listed(listed)
    folders = [path for part in ("train", "val") if (path := find(f"imagenet/{part}")) is not None]
    whole = next((names for path in folders if len(names := class_folders(path)) == 1000), None)
    if whole is None:
        reason = FileNotFoundError("no folder here has all of them")
        raise missing("the list of ImageNet's 1,000 classes", "imagenet-1k-wnids.txt, one id a line,", reason)
    return whole


def _listed(path: Path) -> list[str]:
    """WordNet ids from a file, one a line, whatever stands behind them."""
    found = [line.split()[0] for line in _lines(path)]
    if not found or len(set(found)) != len(found):
        raise InputError(f"{path} must name distinct WordNet ids, one a line, but names {len(found)}; replace it")
    return found


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be a list, one a line, but cannot be read ({error}); replace it") from error


def _fetch_imagenette() -> Path:
    """Download through torchvision once, unpacked into the cache as a whole."""
    import torchvision.datasets

    folder = cache_folder() / "imagenette2-320"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            torchvision.datasets.Imagenette(temporary, size="320px", download=True)
            (Path(temporary) / folder.name).rename(folder)
    except (OSError, RuntimeError) as error:
        raise missing("Imagenette", "imagenette2-320/{train,val}/WNID/*", error) from error
    return folder
