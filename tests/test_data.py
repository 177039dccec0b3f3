"""Data: real digits against the golden pixels, batches against the protocol's own lines, damaged files."""

import gzip
import shutil

import numpy as np
import pytest
import torch
from helpers import REPOSITORY, TINY, flip_byte, idx_bytes, write_idx_set
from oracles import GOLDEN_FILES
from PIL import Image
from sklearn.model_selection import StratifiedKFold

from book.oracles.golden import load_golden
from qpatch.config import RunConfig
from qpatch.data import (
    DataError,
    Split,
    data_folder,
    epoch_seeds,
    load_dataset,
    pool,
    pooling,
    stratified_batches,
    stratified_subset,
)
from qpatch.idx import FILES, read_raw

MNIST = REPOSITORY / "data" / "mnist"
SMALL = {"stride": 4, "n_qubits": 4, "n_classes": 8, "image_size": 8, "n_train": 20, "n_test": 5, "batch_size": 10}


# -- contents -----------------------------------------------------------------------------------------------------


def test_real_digits_are_all_there(mnist):
    assert mnist.train.images.shape == (60_000, 14, 14)
    assert mnist.test.images.shape == (10_000, 14, 14)
    assert mnist.train.images.dtype == torch.float32
    assert mnist.train.labels.dtype == torch.int64
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]  # the first digits of the canonical files
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.stem)
def test_pixels_and_labels_are_those_that_the_author_fed(path, mnist):
    _, golden = load_golden(path)
    index = golden["image_index"].long()  # of test images
    # both pool and scale in float32, in either order: angles up to pi/4 = 0.79 with an error of some 6e-8
    assert (mnist.test.images[index] - golden["pixels"]).abs().max() < 3e-7
    assert torch.equal(mnist.test.labels[index], golden["labels"])


def test_angles_lie_between_zero_and_a_quarter_of_pi(mnist):
    assert mnist.train.images.min() == 0
    assert mnist.train.images.max() <= torch.pi / 4 * (1 + 1e-6)


@pytest.mark.parametrize("n_qubits", [4, 6])
def test_pixels_are_scaled_by_the_qubits_and_pooled_two_by_two(n_qubits):
    config = RunConfig(stride=2, depth=1, n_qubits=n_qubits, n_classes=8, n_train=20, n_test=5, batch_size=10)
    images, labels = read_raw(MNIST, "train_images"), read_raw(MNIST, "train_labels")
    kept = np.flatnonzero(labels < 8)[:20]
    pooled = images[kept].astype(np.float64).reshape(20, 14, 2, 14, 2).mean(axis=(2, 4))
    expected = pooled * 2 * np.pi / (255 * n_qubits)
    split = load_dataset(config).train
    assert np.abs(split.images.numpy() - expected).max() < 1e-6  # float32 of angles up to pi/2
    assert split.labels.tolist() == labels[kept].tolist()


def test_digits_of_eight_pixels_are_means_of_four_by_four_on_a_margin_of_two():
    split = load_dataset(RunConfig(**SMALL)).train
    kept = read_raw(MNIST, "train_labels") < 8
    images = read_raw(MNIST, "train_images")[kept][: len(split)].astype(np.float64)
    framed = np.zeros((len(split), 32, 32))
    framed[:, 2:30, 2:30] = images
    expected = framed.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)) * 2 * np.pi / (255 * 4)
    assert np.abs(split.images.numpy() - expected).max() < 1e-6  # float32 of angles up to pi/2


@pytest.mark.parametrize(("side", "size"), [(28, 14), (28, 10), (28, 8), (28, 1), (32, 8), (64, 9), (5, 5)])
def test_pooling_covers_the_image_with_whole_windows_and_the_same_margin_on_both_sides(side, size):
    window, padding = pooling(side, size)
    assert window * size == side + 2 * padding
    assert 0 <= padding <= window / 2
    ones = pool(torch.ones(1, side, side), size)
    assert ones.shape == (1, size, size)
    assert ones.sum() * window**2 == pytest.approx(side**2)  # the mean keeps all ink, and the margin is zero


@pytest.mark.parametrize(("side", "size"), [(28, 13), (28, 16), (28, 30), (27, 14), (100, 14)])
def test_sizes_that_an_image_does_not_come_to_are_told_those_that_it_does(side, size):
    assert pooling(side, size) is None
    with pytest.raises(DataError, match=rf"images of {side} x {side} pixels do not pool to {size} x {size}; use an"):
        pool(torch.ones(1, side, side), size)


def test_images_that_are_not_square_are_refused():
    with pytest.raises(DataError, match=r"28 x 30 pixels do not pool to 14 x 14; square images are needed"):
        pool(torch.ones(1, 28, 30), 14)


def test_plain_files_are_read_as_packed_ones(tmp_path):
    packed = write_idx_set(tmp_path / "packed")
    plain = tmp_path / "plain"
    plain.mkdir()
    for name in FILES.values():
        (plain / name).write_bytes(gzip.decompress((packed / f"{name}.gz").read_bytes()))
    one, other = load_dataset(TINY, packed), load_dataset(TINY, plain)
    assert torch.equal(one.train.images, other.train.images)
    assert torch.equal(one.test.labels, other.test.labels)


def test_only_labels_below_the_number_of_classes_are_kept(shapes):
    assert shapes.train.labels.tolist() == [0, 1, 2] * 20
    assert len(shapes.test) == TINY.n_test


def test_images_of_another_size_go_with_a_matching_configuration(tmp_path):
    folder = write_idx_set(tmp_path / "shapes", side=32)
    config = TINY.replace(image_size=16)
    assert load_dataset(config, folder).train.images.shape == (60, 16, 16)


def test_environment_variable_points_at_the_data(monkeypatch, tmp_path):
    monkeypatch.setenv("QPATCH_DATA", str(tmp_path))
    assert data_folder("fashion") == tmp_path / "fashion"
    monkeypatch.delenv("QPATCH_DATA")
    assert data_folder("mnist") == MNIST


# -- one's own images -----------------------------------------------------------------------------------------------


def write_own(folder, form):
    """The small set of `write_idx_set` in another form, with the same images in the same order."""
    source = write_idx_set(folder / "idx")
    for split in ("train", "test"):
        images, labels = (read_raw(source, f"{split}_{part}", "shapes") for part in ("images", "labels"))
        if form == "npz":
            np.savez(folder / f"{split}.npz", images=images, labels=labels.astype(np.int64))
        else:
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                (folder / split / "abcd"[label]).mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(folder / split / "abcd"[label] / f"{number:03d}.png")
    return folder


@pytest.mark.parametrize("form", ["npz", "png"])
def test_arrays_and_folders_of_pngs_are_read_as_idx_files(tmp_path, form):
    folder = write_own(tmp_path, form)
    assert load_dataset(TINY, folder).digest() == load_dataset(TINY, folder / "idx").digest()


def test_classes_have_one_number_in_both_splits_and_colours_become_grey(tmp_path):
    folder = write_own(tmp_path, "png")
    shutil.rmtree(folder / "test" / "a")
    with pytest.raises(DataError, match="none is of class 0"):
        load_dataset(TINY.replace(n_test=20), folder)
    grey = load_dataset(TINY.replace(n_train=20, batch_size=10), write_own(tmp_path / "grey", "png"))
    file = tmp_path / "grey" / "train" / "a" / "000.png"
    Image.open(file).convert("RGBA").save(file)
    again = load_dataset(TINY.replace(n_train=20, batch_size=10), tmp_path / "grey")
    assert again.digest() == grey.digest()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.ones((80, 28, 28)), "labels": np.arange(80) % 4}, r"images of type float64.*255 \* images"),
        ({"images": np.ones((80, 28, 28), "u1"), "labels": np.arange(80) / 4}, "labels of type float64; .*whole numb"),
        ({"images": np.ones((80, 28, 28), "u1")}, r"train.npz cannot be read .*labels.*; write it by np.savez\('train"),
        ({"images": np.array([None] * 80), "labels": np.arange(80)}, "cannot be read .*without objects"),
        ({"images": np.ones((79, 28, 28), "u1"), "labels": np.arange(80)}, r"\(79, 28, 28\) with labels of shape"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, arrays, message):
    folder = write_own(tmp_path, "npz")
    np.savez(folder / "train.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_dataset(TINY, folder)


def test_files_that_are_no_archive_or_no_png_are_refused(tmp_path):
    folder = write_own(tmp_path, "npz")
    (folder / "train.npz").write_bytes((folder / "train.npz").read_bytes()[:1000])
    with pytest.raises(DataError, match=r"train.npz cannot be read"):
        load_dataset(TINY, folder)
    folder = write_own(tmp_path / "png", "png")
    file = folder / "train" / "b" / "001.png"
    whole = file.read_bytes()
    for contents, message in (
        (b"no image", r"b/001.png cannot be read .*put a whole PNG there"),
        (whole[: len(whole) // 2], r"b/001.png cannot be read"),
    ):
        file.write_bytes(contents)
        with pytest.raises(DataError, match=message):
            load_dataset(TINY, folder)
    Image.new("L", (28, 30)).save(file)
    with pytest.raises(DataError, match=r"b/001.png is \(30, 28\), mode L; give all images one size, here \(28, 28\)"):
        load_dataset(TINY, folder)
    Image.new("I;16", (28, 28)).save(file)
    with pytest.raises(DataError, match=r"mode I;16; .*of 8 bits"):
        load_dataset(TINY, folder)


def test_a_folder_without_classes_is_told_what_belongs_there(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"train has no folder with PNGs; make one for each class, such as .*train/0"):
        load_dataset(TINY, tmp_path)


# -- batches ------------------------------------------------------------------------------------------------------


def test_epoch_seeds_are_the_protocols():
    np.random.seed(1001)
    expected = np.random.randint(0, 1 << 32, size=50)
    assert epoch_seeds(RunConfig()).tolist() == expected.tolist()


def test_batches_are_the_protocols_folds():
    labels = torch.arange(600) % 10
    np.random.seed(77)
    random_state = np.random.randint(0, 1 << 32, size=50)[3]
    folds = StratifiedKFold(n_splits=6, shuffle=True, random_state=random_state)
    expected = folds.split(np.zeros(600), labels)
    batches = list(stratified_batches(labels, RunConfig(seed=77, n_train=600, batch_size=100), epoch=3))
    assert [batch.tolist() for batch in batches] == [fold.tolist() for _, fold in expected]


def test_batches_cut_the_images_into_equal_parts_with_the_classes_in_proportion(mnist):
    labels = mnist.train.labels
    batches = list(stratified_batches(labels, RunConfig(), epoch=1))
    assert [len(batch) for batch in batches] == [1000] * 60
    assert torch.cat(batches).sort().values.equal(torch.arange(60_000))
    shares = torch.stack([labels[batch].bincount(minlength=10) for batch in batches])
    assert (shares - labels.bincount() / 60).abs().max() < 1 + 1e-6  # whole images: one more or fewer


def test_epochs_and_seeds_draw_other_batches():
    seeds, others = epoch_seeds(TINY), epoch_seeds(TINY.replace(seed=2))
    assert len({*seeds.tolist(), *others.tolist()}) == 2 * TINY.epochs


# -- bad input ----------------------------------------------------------------------------------------------------


@pytest.fixture
def copied_mnist(tmp_path):
    """A copy of the real test labels, the smallest of the four files."""
    shutil.copy(MNIST / "t10k-labels-idx1-ubyte.gz", tmp_path)
    return tmp_path


def rewrite_labels(folder, change):
    file = folder / "t10k-labels-idx1-ubyte.gz"
    contents = bytearray(gzip.decompress(file.read_bytes()))
    change(contents)
    file.write_bytes(gzip.compress(bytes(contents)))


def test_an_altered_digit_is_found_by_the_checksum(copied_mnist):
    rewrite_labels(copied_mnist, lambda contents: contents.__setitem__(100, 3 ^ contents[100]))
    with pytest.raises(DataError, match=r"t10k-labels.* is not the canonical file.*copy the files of data/mnist"):
        read_raw(copied_mnist, "test_labels")


@pytest.mark.parametrize("position", [0, 3, 500, -2])
def test_a_flipped_byte_in_the_packed_file_names_the_file_and_the_remedy(copied_mnist, position):
    flip_byte(copied_mnist / "t10k-labels-idx1-ubyte.gz", position)
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz .*copy the files of data/mnist there, or unset"):
        read_raw(copied_mnist, "test_labels")


@pytest.mark.parametrize("length", [0, 5, 2000])
def test_a_truncated_packed_file_names_the_file_and_the_remedy(copied_mnist, length):
    file = copied_mnist / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz .*copy the files of data/mnist there"):
        read_raw(copied_mnist, "test_labels")


def test_a_missing_file_of_the_project_comes_back_with_git(copied_mnist, monkeypatch):
    monkeypatch.setattr("qpatch.idx.PROJECT", copied_mnist.parents[1])
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.* is missing; get it back with 'git checkout"):
        read_raw(copied_mnist, "train_labels")


def test_another_data_set_is_told_where_its_files_belong(tmp_path):
    with pytest.raises(DataError, match=r"fashion.*train-images-idx3-ubyte.* is missing.*QPATCH_DATA"):
        load_dataset(TINY.replace(dataset="fashion"), tmp_path / "fashion")


def test_another_data_set_has_no_checksum_but_mnist_has(tmp_path):
    folder = write_idx_set(tmp_path / "shapes")
    assert len(load_dataset(TINY, folder).train) == TINY.n_train
    with pytest.raises(DataError, match="is not the canonical file"):
        load_dataset(TINY.replace(dataset="mnist"), folder)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", r"is not an IDX file of unsigned bytes; its first bytes are"),
        (b"\x89PNG", r"is not an IDX file of unsigned bytes; its first bytes are 89504e47"),
        (idx_bytes(np.zeros(80))[:-1], r"is truncated or too long: 87 bytes for an array of shape \(80,\)"),
        (idx_bytes(np.zeros(80)) + b"\0", r"is truncated or too long: 89 bytes"),
        (idx_bytes(np.zeros(80))[:6], r"is truncated or too long: 6 bytes"),
        (idx_bytes(np.zeros(79)), r"images of shape \(80, 28, 28\) with labels of shape \(79,\)"),
        (idx_bytes(np.full(80, 9)), r"0 images carry a label below 3; 60 were asked for"),
    ],
)
def test_damaged_labels_of_another_data_set_are_told_apart(tmp_path, contents, message):
    folder = write_idx_set(tmp_path / "shapes")
    (folder / f"{FILES['train_labels']}.gz").unlink()
    (folder / FILES["train_labels"]).write_bytes(contents)
    with pytest.raises(DataError, match=message):
        load_dataset(TINY, folder)


def rewrite(folder, name, change=lambda array: array, kind="u1", code=8, as_name="{}.gz", pack=gzip.compress):
    """Replace a file of the small set by what a function makes of its array, in another type or under another name."""
    file = folder / f"{FILES[name]}.gz"
    contents = gzip.decompress(file.read_bytes())
    start = 4 + 4 * contents[3]
    array = change(np.frombuffer(contents, np.uint8, offset=start).reshape(np.frombuffer(contents[4:start], ">u4")))
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    file.unlink()
    (folder / as_name.format(FILES[name])).write_bytes(pack(header + array.astype(kind).tobytes()))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "train_labels",
            lambda a: a + 1,
            r"shapes, train, labels 1 to 4: of the 40 images used none is of class 0 of 0 to 2",
        ),
        (
            "test_labels",
            lambda a: np.where(a == 1, 0, a),
            r"shapes, test, labels 0 to 3: of the 30 .* is of class 1 of 0 to 2",
        ),
        ("train_labels", np.sort, r"of the 40 images used none is of class 2 of .*mix sorted images, use more of them"),
        ("train_images", lambda a: a / 255, r"shapes, train, .*: all pixels are 0, of 0 to 255.*multiply these by 255"),
        ("train_images", lambda a: a > 100, r"all pixels are 0 or 1, of 0 to 255, as of images from 0 to 1"),
        ("train_images", lambda a: np.where(a > 100, 255, a > 50), r"all pixels are 0 or 1 or 255"),
        (
            "train_images",
            lambda a: np.stack([a] * 3, 3),
            r"shape \(80, 28, 28, 3\) with labels of shape \(80,\); give grey ones",
        ),
    ],
)
def test_data_that_load_and_are_nonsense_are_refused(tmp_path, name, change, message):
    folder = write_idx_set(tmp_path / "shapes")
    rewrite(folder, name, change)
    with pytest.raises(DataError, match=message):
        load_dataset(TINY.replace(n_train=40), folder)


@pytest.mark.parametrize(
    ("name", "kind", "code", "message"),
    [
        (
            "train_images",
            ">f4",
            13,
            r"train-images-idx3-ubyte.gz holds images of type float32; write them as bytes from",
        ),
        ("test_images", ">i2", 11, r"t10k-images-idx3-ubyte.gz holds images of type int16; write them as bytes from 0"),
        ("test_labels", ">f8", 14, r"t10k-labels-idx1-ubyte.gz holds labels of type float64; write them as whole numb"),
    ],
)
def test_elements_of_another_type_are_refused(tmp_path, name, kind, code, message):
    folder = write_idx_set(tmp_path / "shapes")
    rewrite(folder, name, kind=kind, code=code)
    with pytest.raises(DataError, match=message):
        load_dataset(TINY, folder)


@pytest.mark.parametrize("sizes", [[2**31, 2**31, 4], [2**32 - 1] * 4, [0, 2**32 - 1], [1] * 64])
def test_headers_beyond_all_bounds_are_refused(tmp_path, sizes):
    folder = write_idx_set(tmp_path / "shapes")
    header = bytes([0, 0, 8, len(sizes)]) + np.array(sizes, ">u4").tobytes()
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header))
    with pytest.raises(DataError, match=r"is truncated or too long|is not an IDX file|with labels of"):
        load_dataset(TINY, folder)


def test_a_half_written_file_is_not_preferred_to_the_whole_one_beside_it(tmp_path):
    folder = write_idx_set(tmp_path / "shapes")
    whole = load_dataset(TINY, folder)
    packed = folder / "train-images-idx3-ubyte.gz"
    contents = gzip.decompress(packed.read_bytes())
    plain = packed.with_suffix("")
    for written in (contents[:1000], contents[:1000].ljust(len(contents), b"\0")):
        plain.write_bytes(written)
        message = rf"train-images-idx3-ubyte and {packed.name} hold {len(written)} and {len(contents)} bytes.*; delete"
        with pytest.raises(DataError, match=message):
            load_dataset(TINY, folder)
    plain.unlink()
    assert load_dataset(TINY, folder).digest() == whole.digest()
    plain.write_bytes(contents)  # both, and the same
    assert load_dataset(TINY, folder).digest() == whole.digest()


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["packed", "plain"])
@pytest.mark.parametrize(
    "style", ["emnist-digits-{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte", "qmnist-{}-{}-idx{}-ubyte.gz"]
)
def test_names_that_people_have_are_read_packed_or_not(tmp_path, style, pack):
    folder = write_idx_set(tmp_path / "shapes")
    expected = load_dataset(TINY, folder)
    pack = gzip.compress if style.endswith("gz") else pack
    for name in FILES:
        split, part = name.split("_")
        as_name = style.format(
            "t10k" if split == "test" and "mnist" not in style else split, part, 3 - 2 * (part == "labels")
        )
        rewrite(folder, name, as_name=as_name, pack=pack)
    assert load_dataset(TINY, folder).digest() == expected.digest()


def test_labels_of_whole_numbers_with_more_about_each_digit_are_read(tmp_path):
    folder = write_idx_set(tmp_path / "shapes")
    expected = load_dataset(TINY, folder)
    rewrite(folder, "train_labels", kind=">i4", code=12)
    rewrite(
        folder,
        "test_labels",
        lambda a: np.stack([a, *[a + 7] * 7], 1),
        kind=">i4",
        code=12,
        as_name="qmnist-test-labels-idx2-int",
        pack=bytes,
    )
    assert load_dataset(TINY, folder).digest() == expected.digest()


def test_images_of_another_size_are_refused(tmp_path):
    folder = write_idx_set(tmp_path / "shapes", side=32)
    message = r"shapes, train, .*: images of 32 x 32 pixels do not pool to 14 x 14; use an image_size of 32, 17, 16, 9"
    with pytest.raises(DataError, match=message):
        load_dataset(TINY.replace(image_size=14, stride=1), folder)


def test_too_few_images_are_refused(tmp_path):
    folder = write_idx_set(tmp_path / "shapes", n_train=40)
    with pytest.raises(DataError, match=r"30 images carry a label below 3; 60 were asked for"):
        load_dataset(TINY, folder)


def test_stratified_subset_keeps_the_proportions_and_the_order(mnist):
    subset = stratified_subset(mnist.train, 6000)
    share = torch.bincount(mnist.train.labels) / 10
    assert (torch.bincount(subset.labels) - share).abs().max() <= 1  # rounded to whole images
    again = stratified_subset(mnist.train, 6000)
    assert torch.equal(subset.images, again.images)
    assert stratified_subset(mnist.train, 0) is mnist.train


def test_a_subset_must_hold_every_class(mnist):
    for count in (9, 59_995):
        message = rf"{count} of 60000 images and the rest cannot both hold all 10 classes; take 0, which takes all"
        with pytest.raises(DataError, match=message):
            stratified_subset(mnist.train, count)
    assert len(stratified_subset(mnist.train, 59_990)) == 59_990


def test_a_split_takes_arrays_and_whole_numbers_and_refuses_what_it_cannot_be():
    images, labels = np.zeros((3, 8, 8)), np.arange(3)
    for given in (labels.astype(np.int32), labels.astype(np.uint8), labels.tolist(), torch.arange(3).int()):
        split = Split(images, given)
        assert (split.images.dtype, split.labels.dtype) == (torch.float64, torch.int64)
        assert split.labels.tolist() == [0, 1, 2]
    for wrong in [(images.astype(np.uint8), labels), (images, labels.astype(float)), (images, labels[:2])]:
        with pytest.raises(ValueError, match=r"and labels \(\d,\) of torch\.\w+; give radians \(n, size, size\)"):
            Split(*wrong)


def test_a_class_of_one_image_is_not_shared_by_a_subset_and_the_rest():
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    with pytest.raises(DataError, match="class 1 has one image, which subset and rest cannot share; take all"):
        stratified_subset(Split(torch.zeros(6, 8, 8), labels), 3)


def test_more_batches_than_images_of_any_class_are_refused_before_a_training(tmp_path):
    config = TINY.replace(n_train=60, batch_size=2)
    with pytest.raises(
        DataError, match=r"no class has more than 20 images, which 30 .*; use a batch_size of 3 or more"
    ):
        load_dataset(config, write_idx_set(tmp_path / "shapes"))
    with pytest.raises(DataError, match="no class has more than 20 images, which 30 batches cannot share"):
        next(stratified_batches(torch.arange(60) % 3, config, 0))
    assert len(load_dataset(config.replace(batch_size=3), tmp_path / "shapes").train) == 60  # the remedy


@pytest.mark.filterwarnings("error")
def test_a_class_of_fewer_images_than_batches_is_in_some_of_them():
    labels = torch.tensor([0] * 30 + [1] * 28 + [2] * 2)
    batches = list(stratified_batches(labels, TINY.replace(batch_size=10), 0))
    assert sum((labels[batch] == 2).sum() for batch in batches) == 2
    assert torch.cat(batches).sort().values.equal(torch.arange(60))


def test_permuted_pixels_are_the_old_ones_in_the_same_new_order_in_every_image(shapes, shapes_root):
    permuted = load_dataset(TINY.replace(permutation=3), shapes_root / "shapes")
    order = np.random.RandomState(3).permutation(64)
    for before, after in ((shapes.train, permuted.train), (shapes.test, permuted.test)):
        assert torch.equal(after.images.flatten(1), before.images.flatten(1)[:, order])
        assert torch.equal(after.labels, before.labels)
    assert permuted.digest() != shapes.digest()
