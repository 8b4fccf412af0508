"""`make up` and `make down`, and what a container asks of its worker: python -m flows.services."""

import argparse
import sys

from fashion.cli.terminal import tell
from fashion.encoding import degrade_output
from fashion.environment import apply_environment
from fashion.errors import FashionError
from fashion.settings import load_project
from flows.services.supervisor import down, up
from flows.services.worker import check, work


def main() -> None:
    actions = {"up": up, "down": down, "work": work, "check": check}
    parser = argparse.ArgumentParser(prog="python -m flows.services", description=__doc__)
    parser.add_argument("action", choices=actions)
    action = actions[parser.parse_args().action]
    degrade_output()
    try:
        project = load_project()
        apply_environment(project)
        action(project)
    except FashionError as error:
        tell(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
