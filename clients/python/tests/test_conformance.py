"""The runner of web/conformance notices clients that are wrong."""

from __future__ import annotations

import subprocess
import sys
import unittest

from .support import ROOT

RUNNER = ROOT / "web/conformance/run.py"
DRIVER = ROOT / "clients/python/conformance.py"
PROGRAM = f"import sys, runpy, re; {{change}}; runpy.run_path({str(DRIVER)!r}, run_name='__main__')"


class ConformanceTest(unittest.TestCase):
    def run_with(self, change: str, only: str) -> tuple[int, str]:
        command = [sys.executable, str(RUNNER), "--only", only, sys.executable, "-c", PROGRAM.format(change=change)]
        ended = subprocess.run(command, capture_output=True, text=True)
        return ended.returncode, ended.stdout + ended.stderr

    def test_a_wrong_client_fails(self) -> None:
        sse, state = "import porchlight._sse as it", "import porchlight._state as it"
        for change, only in (
            (f"{sse}; it.LINE_END = re.compile(b'\\\\n')", "line ends are carriage returns"),
            (f"{sse}; it.BYTE_ORDER_MARK = b'-'", "a byte order mark at the beginning"),
            (f"{sse}; it.DIGITS = re.compile('.*')", "a retry that is no number"),
            (f"{sse}; it.MAX_RETRY_MS = 1000", "the service says how long to wait"),
            (f"{state}; it.HEARTBEATS_OF_SILENCE = 20", "a silent stream is given up"),
            (f"{state}; it.HEARTBEATS_OF_SILENCE = 1", "every byte is a sign of life"),
            (f"{state}; it.STOPPING = ()", "status 401 ends"),
            (f"{state}; it.StreamState.received = it.StreamState.cursor", "a new connection asks for what comes after"),
        ):
            code, said = self.run_with(change, only)
            self.assertEqual(code, 1, f"{change}\n{said}")
            self.assertIn("FAILED", said, change)
            code, said = self.run_with("pass", only)
            self.assertEqual(code, 0, said)
