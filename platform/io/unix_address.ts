/** Addresses of unix sockets (unix(7)), and the numbers that go with them. */

// linux/socket.h, linux/net.h
export const AF_UNIX = 1;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

/** Bytes for a path in `struct sockaddr_un`. */
const PATH_SIZE = 108;

/**
 * The bytes of `struct sockaddr_un`, as many as count.
 * @param address a path, or `@` and a name that is in no file system (unix(7), "abstract")
 * @throws Error when it is neither, or too long
 */
export function unixAddress(address: string): Uint8Array {
  const abstract = address.startsWith("@");
  if (!abstract && !address.startsWith("/") || address.length < 2) {
    throw new Error(`${JSON.stringify(address)} is no address of a unix socket: expected /… or @…`);
  }
  // A path ends in a NUL, an abstract name begins with one.
  const bytes = structure(abstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (bytes === null) throw new Error(`${address}: longer than ${PATH_SIZE} bytes`);
  return bytes;
}

/** Likewise of a path, absolute or not; null when it is too long. */
export function pathAddress(path: string): Uint8Array | null {
  return structure(`${path}\0`);
}

function structure(name: string): Uint8Array | null {
  const encoded = new TextEncoder().encode(name);
  if (encoded.length > PATH_SIZE) return null;
  const bytes = new Uint8Array(2 + encoded.length);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(encoded, 2);
  return bytes;
}
