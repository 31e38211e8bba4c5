"""Runs brew-mirror with a profile of its threads' CPU time, which is written as JSON.

python -m benchmarks.profiled FILE sync --json --plan ID
"""

import cProfile
import json
import pstats
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from brew_assets.runtimes.cli import main


def run(arguments: list[str], output: Path) -> None:
    """The command runs to its end; then the file has own CPU seconds and calls of each function."""
    profiles: list[cProfile.Profile] = []

    def begin(frame: FrameType, event: str, argument: Any) -> None:
        profile = cProfile.Profile(time.thread_time)
        profiles.append(profile)
        sys.setprofile(None)
        profile.enable()

    threading.setprofile(begin)
    sys.argv = ["brew-mirror", *arguments]
    try:
        main()
    finally:
        threading.setprofile(None)
        rows = []
        if profiles:
            stats: Any = pstats.Stats(*profiles)
            for (file, _, function), (_, calls, own_s, _, _) in stats.stats.items():
                rows.append([f"{Path(file).name}:{function}" if file != "~" else function, calls, own_s])
        output.write_text(json.dumps(sorted(rows, key=lambda row: -row[2])))


if __name__ == "__main__":
    run(sys.argv[2:], Path(sys.argv[1]))
