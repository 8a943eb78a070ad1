"""PySide6 6.12.0 drops a reference to None with each void call and aborts the process below Python 3.12."""

from __future__ import annotations

import json
import subprocess
import sys

CALLS = 300
CHILD = f"""
import json, sys
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QApplication, QLabel

class Emitter(QObject):
    emitted = Signal(int)

application = QApplication([])
label, emitter = QLabel("canary"), Emitter()
label.show()

def calls(times):
    for number in range(times):
        label.repaint()
        label.setText(str(number))
        emitter.emitted.emit(number)

calls(20)  # what is made once and kept is made here
before = sys.getrefcount(None), sys.getrefcount(True)
calls({CALLS})
after = sys.getrefcount(None), sys.getrefcount(True)
print(json.dumps([before[0] - after[0], before[1] - after[1]]))
"""


def test_qt_calls_keep_the_references_to_none_and_true() -> None:
    # In a child: where the canary dies, it takes the process with it.
    child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 0, child.stderr
    dropped_none, dropped_true = json.loads(child.stdout)
    assert dropped_none <= 0.05 * 3 * CALLS, f"{dropped_none} references to None lost in {3 * CALLS} calls"
    assert dropped_true <= 0.05 * CALLS, f"{dropped_true} references to True lost in {CALLS} signals"
