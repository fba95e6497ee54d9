#!/usr/bin/env python3
# xdevd-plugin: {"name":"my-backend","version":"0.1.0","api":1,"kinds":["my-kind"],"carrier":"process","sample":{"backend":{"bridge":"xenbr0"},"needsRoot":true}}
"""Network interfaces (kind my-kind), as a program of its own. Each becomes a port of the bridge that
the node `bridge` names: put your network in its place.

  xdevd plugin check ./my-backend       checks it, as root
  xdevd devd -F --plugin ./my-backend --kind my-kind=my-backend

The upper half is yours, the lower half speaks the protocol (docs/plugin-protocol.md).
"""

import os
import struct
import sys
import threading
import time
import traceback

NAME = "my-backend"


def add(device):
    bridge = device.text("bridge")
    name = f"vif{device.id['frontendDomid']}.{device.id['devid']}"
    index = wait_for(device, name)
    # First the record, then the deed: whenever the daemon dies, it knows what to undo.
    device.record_undo({"name": name, "index": index, "bridge": bridge})
    # An address that no bridge takes for its own, as Xen's scripts do.
    device.request("links.setMac", name, "fe:ff:ff:ff:ff:ff")
    device.request("links.addToBridge", bridge, name)
    device.request("links.setUp", name)
    device.request("nodes.write", {"hotplug-status": "connected"})


def wait_for(device, name):
    """The number of the interface that netback makes; some kernels do so a moment after state 2."""
    for _ in range(100):
        link = device.request("links.read", name)
        if link is not None:
            return link["index"]
        time.sleep(0.02)
    raise Refused(f"interface {name} does not exist: the kernel did not make it within 2 s")


def link_of(device):
    """The interface, if it is still there: it goes with its guest."""
    name = device.undo.get("name")
    link = None if name is None else device.request("links.read", name)
    return link if link is not None and link["index"] == device.undo["index"] else None


def remove(device):
    # Of the record alone: the nodes, and this program's memory, may be gone by now.
    if link_of(device) is None:
        return
    try:
        device.request("links.setDown", device.undo["name"])
        device.request("links.removeFromBridge", device.undo["name"])
    except Refused:
        # It may go with its guest at any moment.
        if link_of(device) is not None:
            raise


def check(device):
    link = link_of(device)
    if link is not None and link["master"] != device.undo["bridge"]:
        return f"{link['name']} is no port of {device.undo['bridge']} any more"


OPERATIONS = {"add": add, "remove": remove, "check": check}


