"""What the documents of the account tell an operator to type can be typed, and does what they say."""

import re

from brew_assets_tests.docs.reading import ROOT, blocks, commands, documents

TERRAFORM = ROOT / "infra" / "terraform"
INFRA = ROOT / "infra" / "README.md"
DOCKERFILE = ROOT / "infra" / "image" / "Dockerfile"
_BUILD = re.compile(r"\bdocker (?:buildx )?build\b.*")
_BUILDX_PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}


def _declared(kind: str) -> dict[str, str]:
    """The root's blocks of that kind: name -> body."""
    text = "\n".join(path.read_text() for path in sorted(TERRAFORM.glob("*.tf")))
    return dict(re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', text, re.MULTILINE | re.DOTALL))


def test_images_are_built_for_the_processor_of_the_tasks_and_in_the_form_that_lambda_takes() -> None:
    default = re.search(r'default\s+= "(\w+)"', _declared("variable")["cpu_architecture"])
    assert default is not None
    lines = [line for path in documents() for block in blocks(path, "bash") for line in block.splitlines()]
    builds = [
        match[0] for line in (*lines, *DOCKERFILE.read_text().splitlines()) if (match := _BUILD.search(line))
    ]
    assert len(builds) >= 4
    for build in builds:
        assert build.startswith("docker buildx build "), build
        # Attestations make an index of the image, which Lambda refuses.
        assert "--provenance=false" in build, build
        assert f"--platform {_BUILDX_PLATFORMS[default[1]]} " in build, build
    assert "--platform linux/arm64" in INFRA.read_text()
