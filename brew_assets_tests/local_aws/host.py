"""The machine that tasks and functions run on: the endpoint's address, a folder, and started processes."""

import sys
from pathlib import Path

from brew_assets_tests.local_aws.processes import Processes
from brew_assets_tests.local_aws.records import ACCESS_KEY, SECRET_KEY


class Host:
    """Where work runs. It gets nothing of the environment that Local AWS was started in."""

    def __init__(self, state: Path) -> None:
        self.state = state
        # Known once the port is bound.
        self.url = ""
        self.processes = Processes()

    def folder(self, *names: str) -> Path:
        """A folder below the state directory, made when it is not there."""
        folder = self.state.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def environment(self, region: str, *, home: Path) -> dict[str, str]:
        """What every container finds: programs, the endpoint, and credentials as a role would give them."""
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
