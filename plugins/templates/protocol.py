# ---- The protocol ----


class Refused(Exception):
    """Why a call fails, in one line for people; what is no mistake of this program."""


class Device:
    """The device of one call. Every call runs in a thread of its own."""

    def __init__(self, host, call):
        self.host, self.call = host, call["call"]
        self.id, self.undo, self.copy = call["device"], call["undo"], call["copy"]
        self.aborted = threading.Event()

    def request(self, capability, *arguments):
        """Asks the host for something; raises Refused with its words when it says no."""
        self.stop_if_aborted()
        return self.host.request(self, capability, list(arguments))

    def record_undo(self, more):
        self.request("recordUndo", more)
        self.undo = {**self.undo, **more}

    def integer(self, name, least, most):
        value = self.request("nodes.read", name)
        if value is None or not value.isascii() or not value.isdigit() or len(value) > 9 \
                or not least <= int(value) <= most:
            raise Refused(f"node {name} is {value!r:.80}; expected {least} to {most}")
        return int(value)

    def text(self, name):
        value = self.request("nodes.read", name)
        if not value or not value.isprintable():
            raise Refused(f"node {name} is {value!r:.80}; expected a text")
        return value

    def log(self, text, level="info"):
        self.host.send({"type": "log", "call": self.call, "level": level, "text": text})

    def stop_if_aborted(self):
        if self.aborted.is_set():
            raise Refused("told to stop")


class Host:
    """The other end of standard input and output."""

    def __init__(self):
        self.input, self.output = sys.stdin.buffer, sys.stdout.buffer
        sys.stdout = sys.stderr  # A stray print must not end up among the frames.
        self.lock = threading.Lock()
        self.calls, self.replies, self.last = {}, {}, 0

    def send(self, message):
        body = pack(message)
        with self.lock:
            self.output.write(struct.pack(">I", len(body)) + body)
            self.output.flush()

    def request(self, device, capability, arguments):
        reply = {"came": threading.Event(), "device": device}
        with self.lock:
            self.last += 1
            number = self.last
            self.replies[number] = reply
        self.send({"type": "request", "request": number, "call": device.call,
                   "capability": capability, "arguments": arguments})
        reply["came"].wait()
        device.stop_if_aborted()
        if reply["message"].get("error") is not None:
            raise Refused(reply["message"]["error"])
        return reply["message"].get("value")

    def run(self):
        while True:
            head = self.input.read(4)
            if len(head) < 4:
                os._exit(0)  # The daemon has ended, or wants this program to end.
            body = self.input.read(struct.unpack(">I", head)[0])
            self.take(unpack(body, 0)[0])

    def take(self, message):
        kind = message["type"]
        if kind == "hello":
            self.send({"type": "hello", "contract": 1, "name": NAME,
                       "operations": list(OPERATIONS)})
        elif kind == "call":
            device = self.calls[message["call"]] = Device(self, message)
            threading.Thread(target=self.work, args=(device, message["operation"]),
                             daemon=True).start()
        elif kind == "abort" and message["call"] in self.calls:
            device = self.calls[message["call"]]
            device.aborted.set()
            for reply in list(self.replies.values()):
                if reply["device"] is device:
                    reply["came"].set()
        elif kind == "reply" and message["request"] in self.replies:
            reply = self.replies.pop(message["request"])
            reply["message"] = message
            reply["came"].set()

    def work(self, device, operation):
        try:
            answer = OPERATIONS[operation](device)
            message = {"type": "done", "call": device.call, "answer": answer}
        except Refused as error:
            message = {"type": "failed", "call": device.call, "error": str(error)}
        except Exception as error:
            message = {"type": "failed", "call": device.call, "error": told(error)}
        del self.calls[device.call]
        self.send(message)


def told(error):
    """What went wrong, and where in this file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if frame.filename == __file__]
    place = f" ({os.path.basename(__file__)}:{frames[-1].lineno})" if frames else ""
    line = " ".join(str(error).split())
    return f"{type(error).__name__}: {line}"[:400] + place


def pack(value):
    """MessagePack, as far as the protocol needs it."""
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 2**32:
            return b"\xce" + struct.pack(">I", value)
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode("utf-8", "replace")
        return b"\xdb" + struct.pack(">I", len(text)) + text
    if isinstance(value, (list, tuple)):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
    if isinstance(value, dict):
        return b"\xdf" + struct.pack(">I", len(value)) + b"".join(
            pack(key) + pack(item) for key, item in value.items())
    raise TypeError(f"cannot send a {type(value).__name__}")


def unpack(data, at):
    """The value at a place, and the place behind it."""
    kind, at = data[at], at + 1
    if kind <= 0x7F:
        return kind, at
    if kind >= 0xE0:
        return kind - 0x100, at
    if kind <= 0x8F:
        return unpack_map(data, at, kind & 0x0F)
    if kind <= 0x9F:
        return unpack_list(data, at, kind & 0x0F)
    if kind <= 0xBF:
        return data[at:at + (kind & 0x1F)].decode(), at + (kind & 0x1F)
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    numbers = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
               0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    if kind in numbers:
        size = struct.calcsize(numbers[kind])
        return struct.unpack(numbers[kind], data[at:at + size])[0], at + size
    sizes = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}
    size = struct.calcsize(sizes[kind])
    count, at = struct.unpack(sizes[kind], data[at:at + size])[0], at + size
    if kind <= 0xDB:
        return data[at:at + count].decode(), at + count
    return unpack_list(data, at, count) if kind <= 0xDD else unpack_map(data, at, count)


def unpack_list(data, at, count):
    values = []
    for _ in range(count):
        value, at = unpack(data, at)
        values.append(value)
    return values, at


def unpack_map(data, at, count):
    values = {}
    for _ in range(count):
        key, at = unpack(data, at)
        values[key], at = unpack(data, at)
    return values, at


if __name__ == "__main__":
    Host().run()
