#!/usr/bin/env python3
# xdevd-plugin: {"name":"my-backend","version":"0.1.0","api":1,"kinds":["my-kind"],"carrier":"process","sample":{"backend":{"size":"4"}}}
"""The backend kind my-kind, as a program of its own. It makes a file of `size` KiB and says that it
is ready: put what your kind does in its place.

  xdevd plugin check ./my-backend       checks it
  xdevd devd -F --plugin ./my-backend --kind my-kind=my-backend

The upper half is yours, the lower half speaks the protocol (docs/plugin-protocol.md).
"""

import os
import struct
import sys
import threading
import traceback

NAME = "my-backend"


def add(device):
    size = device.integer("size", 1, 1024)
    path = device.request("directories.state") + "/content"
    # First the record, then the deed: whenever the daemon dies, it knows what to undo.
    device.record_undo({"file": path})
    device.stop_if_aborted()
    with open(path, "wb") as file:
        file.write(bytes(size * 1024))
    device.request("nodes.write", {"hotplug-status": "connected"})


def remove(device):
    # Of the record alone: the nodes, and this program's memory, may be gone by now.
    path = device.undo.get("file")
    if path is not None and os.path.exists(path):
        os.remove(path)


def check(device):
    path = device.undo.get("file")
    if path is not None and not os.path.exists(path):
        return f"its file {path} is gone"


OPERATIONS = {"add": add, "remove": remove, "check": check}


