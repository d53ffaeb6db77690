"""docs/RELIABILITY.md says what the tests say."""

import subprocess
import sys

from conftest import ROOT


def test_the_matrix_is_that_of_the_tests():
    """Each row has a test, and the table names them all."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "reliability.py", "--check"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
