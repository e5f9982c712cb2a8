"""The command line, `muscle-bayes`."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        In place of the process's own.

    Raises
    ------
    SystemExit
        0 done, 1 some participants failed, 2 usage, 3 bad input, 4 a fit failed its gate.
    """
    from muscle_bayes.cli.advice import in_toml
    from muscle_bayes.cli.app import app
    from muscle_bayes.errors import MuscleBayesError

    try:
        app(args=arguments)
    except MuscleBayesError as error:
        # One line a problem, no traceback: where, what is wrong, what to do.
        print(f"muscle-bayes: {in_toml(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("muscle-bayes: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
