"""The examples of the documents, run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

from .support import ROOT, ServiceTest

DOCUMENTS = ("docs/start/python.md", "clients/python/README.md")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
WORKER = (ROOT / "clients/python/examples/worker.py").read_text()


class DocumentsTest(ServiceTest):
    def run_program(self, *arguments: str, text: str | None = None) -> str:
        environment = {**os.environ, "PORCHLIGHT_URL": self.server.url, "PORCHLIGHT_TOKEN": self.publisher}
        with tempfile.TemporaryDirectory() as folder:
            ended = subprocess.run(
                [sys.executable, *arguments], env=environment, cwd=folder, input=text, capture_output=True, text=True
            )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout

    def test_the_blocks_of_each_document_work_one_after_the_other(self) -> None:
        for document in DOCUMENTS:
            blocks: list[str] = BLOCK.findall((ROOT / document).read_text())
            # The worker is the example, which has a test of its own.
            blocks = [block for block in blocks if not is_worker(block)]
            self.assertGreaterEqual(len(blocks), 2)
            printed = self.run_program("-", text="".join(blocks))
            self.assertIn("listing:sold", printed)

    def test_the_worker_of_the_document_is_the_example(self) -> None:
        blocks: list[str] = BLOCK.findall((ROOT / DOCUMENTS[1]).read_text())
        workers = [block for block in blocks if is_worker(block)]
        self.assertEqual(len(workers), 1)
        code = re.sub(r"Worker\(\)  #.*", "Worker()", WORKER)
        self.assertTrue(code.endswith(workers[0]))

    def test_the_example_programs_work(self) -> None:
        self.assertIn("published at ", self.run_program(str(ROOT / "clients/python/examples/publish.py")))
        self.assertIn("listing:sold", self.run_program(str(ROOT / "clients/python/examples/tail.py")))


def is_worker(block: str) -> bool:
    return block.startswith("worker = Worker()")
