import gzip
import hashlib
import io
import subprocess
import sys
import tarfile

import pytest

from brew_assets.simulator import World, archive

SIZES = [900, 65_535, 65_536 + 700, 262_140, 300_000, 1_000_000]


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_bottle_is_a_tar_that_tarfile_reads_to_its_end(size_bytes: int) -> None:
    world = World(seed=1)
    (bottle,) = world.publish("wget", "1.25.0", revision=1, size_bytes=size_bytes)
    with tarfile.open(fileobj=io.BytesIO(world.blob(bottle.digest)), mode="r:gz") as tar:
        members = {member.name: member for member in tar}
        receipt = tar.extractfile("wget/1.25.0_1/INSTALL_RECEIPT.json")
        assert receipt is not None
        assert b"built_as_bottle" in receipt.read()
    assert "wget/1.25.0_1/.brew/wget.rb" in members
    assert members["wget/1.25.0_1/bin/wget"].mode & 0o111
    assert next(iter(members)) == "wget/1.25.0_1"


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_bottle_has_about_the_wished_size_and_the_size_it_says(size_bytes: int) -> None:
    world = World(seed=1)
    (bottle,) = world.publish("gtk+3", "3.24.52", size_bytes=size_bytes)
    content = world.blob(bottle.digest)
    assert len(content) == bottle.size
    assert abs(bottle.size - size_bytes) < 100
    assert hashlib.sha256(content).hexdigest() == bottle.digest


def test_gzip_and_tar_of_the_system_accept_a_bottle(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("pour")
    world = World(seed=1)
    (bottle,) = world.publish("jq", "1.8.1", size_bytes=400_000)
    (folder / "jq.tar.gz").write_bytes(world.blob(bottle.digest))
    subprocess.run(["gzip", "-t", "jq.tar.gz"], cwd=folder, check=True)
    subprocess.run(["tar", "-xzf", "jq.tar.gz"], cwd=folder, check=True)
    said = subprocess.run([folder / "jq/1.8.1/bin/jq"], capture_output=True, check=True, text=True)
    assert said.stdout == "jq 1.8.1\n"


def test_a_bottle_hardly_compresses_further() -> None:
    world = World(seed=1)
    (bottle,) = world.publish("jq", "1.8.1", size_bytes=200_000)
    assert len(gzip.compress(world.blob(bottle.digest))) > 0.98 * bottle.size


def test_long_names_split_into_prefix_and_name() -> None:
    formula = "a-formula-with-a-name-of-remarkable-length-for-a-tar"
    world = World(seed=1)
    (bottle,) = world.publish(formula, "2026-08-13")
    with tarfile.open(fileobj=io.BytesIO(world.blob(bottle.digest)), mode="r:gz") as tar:
        assert f"{formula}/2026-08-13/.brew/{formula}.rb" in tar.getnames()


def test_a_path_that_fits_no_header_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        World(seed=1).publish("x" * 120, "1.0")


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 5), (400, 70_000), (262_100, 262_900), (0, None), (599_990, None), (300_000, 300_001)],
)
def test_any_part_reads_as_it_stands_in_the_whole(start: int, stop: int | None) -> None:
    world = World(seed=3)
    (bottle,) = world.publish("jq", "1.8.1", size_bytes=600_000)
    blob = world.open_blob(bottle.digest)
    assert blob.read(start, stop) == world.blob(bottle.digest)[start:stop]


def test_a_large_bottle_streams_as_a_whole_tar() -> None:
    world = World(seed=3)
    (bottle,) = world.publish("llvm", "22.1.0", size_bytes=20_000_000)
    content = b"".join(world.open_blob(bottle.digest).chunks())
    assert hashlib.sha256(content).hexdigest() == bottle.digest
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        assert sum(member.size for member in tar) > 19_900_000


def test_another_process_makes_the_same_digests() -> None:
    told = (
        "from brew_assets.simulator import World;"
        "print(*(b.digest for b in World.generate(seed=5, formulae=30).bottles))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True, text=True)
    here = [bottle.digest for bottle in World.generate(seed=5, formulae=30).bottles]
    assert elsewhere.stdout.split() == here


def test_units_of_the_filler_differ_so_that_exchanged_units_change_the_content() -> None:
    filler = archive.Filler("seed", 3 * archive.UNIT_BYTES)
    assert filler.raw(0) != filler.raw(1)
    assert len(filler.packed(2)) == archive.PACKED_UNIT_BYTES


def test_two_bottles_have_no_file_at_the_same_place_below_their_kegs() -> None:
    """brew links what lies below a keg into one prefix: the second of two equal paths ends an install."""

    def places(formula: str) -> set[str]:
        blob = archive.open_blob(archive.bake(archive.Recipe(formula, "1.0", formula, 100)))
        with tarfile.open(fileobj=io.BytesIO(blob.read())) as tar:
            inside = [name.split("/", 2)[2] for name in tar.getnames() if name.count("/") > 1]
        return {name for name in inside if name != "INSTALL_RECEIPT.json"}

    assert "share/amber/filler.bin" in places("amber")
    assert not places("amber") & places("basil")
