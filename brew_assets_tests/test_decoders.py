"""A type that is met first by a thread is seen half made by the others: every decoder is made at import."""

import ast
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import brew_assets

PACKAGE = Path(brew_assets.__path__[0])
DECODING = re.compile(r"msgspec\.((json|msgpack|yaml|toml)\.(decode|Decoder)|convert)")


def _calls(tree: ast.AST, *, in_function: bool = False) -> Iterator[tuple[str, ast.Call, bool]]:
    """Every call of msgspec's decoding: its name, the call, and whether a function makes it."""
    for node in ast.iter_child_nodes(tree):
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.Call) and DECODING.fullmatch(name := ast.unparse(node.func)):
            yield name, node, inside
        yield from _calls(node, in_function=inside)


def _faults(text: str) -> list[str]:
    """Where a decoder is made, or a type decoded without one, after the module was imported."""
    calls = list(_calls(ast.parse(text)))
    made = [
        ast.unparse(call.args[0])
        for name, call, inside in calls
        # One without a type decodes into plain objects.
        if name.endswith("Decoder") and call.args and not inside
    ]
    return [
        f"line {call.lineno}: {ast.unparse(call)[:100]}"
        for name, call, inside in calls
        if name.endswith(".decode")
        or (name.endswith("Decoder") and inside)
        or (name.endswith("convert") and ast.unparse(call.args[1]) not in made)
    ]


def test_every_decoder_is_made_when_its_module_is_imported() -> None:
    faults = {str(path.relative_to(PACKAGE)): _faults(path.read_text()) for path in PACKAGE.rglob("*.py")}
    assert {path: found for path, found in faults.items() if found} == {}
    # By another name the calls would not be found.
    names = [
        line
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text().splitlines()
        if "from msgspec" in line
    ]
    assert {name for line in names for name in line.split("import")[1].replace(" ", "").split(",")} <= {
        "Meta"
    }


@pytest.mark.parametrize(
    "text",
    [
        "def read(data):\n    return msgspec.json.decode(data, type=Plan)",
        "def read(data):\n    return msgspec.json.Decoder(Plan).decode(data)",
        "def read(data):\n    return msgspec.convert(data, Plan)",
        "read = lambda data: msgspec.msgpack.decode(data, type=Plan)",
        "plan = msgspec.json.Decoder(Plan)\ndef read(data):\n    return msgspec.convert(data, Batch)",
    ],
)
def test_a_decoder_that_is_made_later_is_found(text: str) -> None:
    assert len(_faults(text)) == 1


# Many threads whose first act is to decode, and an interpreter that changes between them all the time.
RACE = """
    import sys, threading
    from concurrent.futures import ThreadPoolExecutor

    from {module} import {function}

    document = {document!r}
    sys.setswitchinterval(1e-6)
    gate = threading.Barrier(32)

    def first(_):
        gate.wait(timeout=60)
        return {call}

    with ThreadPoolExecutor(32) as threads:
        results = list(threads.map(first, range(32)))
    assert len(results) == 32
"""
DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("module", "function", "call", "document"),
    [
        (
            "brew_assets.domain.oci",
            "decode_index",
            "decode_index(document)",
            b'{"manifests":[{"digest":"sha256:00","annotations":{"a":"b"}}]}',
        ),
        (
            "brew_assets.domain.oci",
            "decode_child_size",
            "decode_child_size(document, digest='00')",
            b'{"layers":[{"digest":"sha256:00","size":1}]}',
        ),
        (
            "brew_assets.domain.batch",
            "decode_event",
            "decode_event(document)",
            {
                "sync_date": "2026-11-22",
                "formulas": [
                    {
                        "name": "jq",
                        "version": "1.7",
                        "bottles": {
                            "arm64_sonoma": {
                                "sha256": DIGEST,
                                "url": f"https://ghcr.io/v2/homebrew/core/jq/blobs/sha256:{DIGEST}",
                            }
                        },
                    }
                ],
            },
        ),
        (
            "brew_assets.domain.report",
            "decode_report",
            "decode_report(document)",
            b'{"sync_id":"a","sync_date":"2026-11-22","platforms":["a"],"route":"local","started_at":"a",'
            b'"ended_at":"b","duration_s":1,"planned":1,"failed":[{"name":"a","digest":"a","reason":"a","message":"a"}]}',
        ),
    ],
)
def test_threads_that_decode_first_at_once_all_get_a_result(
    module: str, function: str, call: str, document: object
) -> None:
    program = textwrap.dedent(RACE).format(module=module, function=function, call=call, document=document)
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
