#!/usr/bin/env python3
# xdevd-plugin: {"name":"my-backend","version":"0.1.0","api":1,"kinds":["my-kind"],"carrier":"process","results":["node","physical-device"],"sample":{"backend":{"params":"4","mode":"w"},"needsRoot":true}}
"""Disks (kind my-kind), as a program of its own. Each is an empty file of `params` MiB (`target=64`)
behind a loop device, gone when it is detached: put your storage in its place.

  xdevd plugin check ./my-backend       checks it, as root
  xdevd devd -F --plugin ./my-backend --kind my-kind=my-backend

The upper half is yours, the lower half speaks the protocol (docs/plugin-protocol.md).
"""

import os
import struct
import sys
import threading
import traceback
import uuid

NAME = "my-backend"


def add(device):
    size = device.integer("params", 1, 1024)
    read_only = device.text("mode") == "r"
    path = device.request("directories.state") + "/disk"
    # First the record, then the deed: whenever the daemon dies, it knows what to undo. Nobody else
    # has this tag; the kernel keeps it with the loop device.
    tag = str(uuid.uuid4())
    device.record_undo({"file": path, "tag": tag})
    device.stop_if_aborted()
    with open(path, "wb") as file:
        file.truncate(size * 1024 * 1024)
    target = device.request("blocks.describe", path)
    loop = device.request("blocks.attachLoop", {
        "path": target["path"], "expectIdentity": target["identity"],
        "readOnly": read_only, "tag": tag})
    # The kernel's backend opens the device of this number, and then lets the guest in.
    device.request("nodes.write", {
        "node": loop["node"], "physical-device": f"{loop['major']:x}:{loop['minor']:x}",
        "hotplug-status": "connected"})


def loops_of(device):
    """The loop devices that bear our tag: asked anew each time, so that nothing has to be known."""
    tag = device.undo.get("tag")
    return [] if tag is None else device.request("blocks.loops", {"tag": tag})


def remove(device):
    # Of the record alone: the nodes, and this program's memory, may be gone by now.
    for loop in loops_of(device):
        device.request("blocks.detachLoop", loop["node"], {"tag": loop["tag"], "file": loop["file"]})
    path = device.undo.get("file")
    if path is not None and os.path.exists(path):
        os.remove(path)


def check(device):
    if "tag" in device.undo and not loops_of(device):
        return "its loop device is gone"


OPERATIONS = {"add": add, "remove": remove, "check": check}


