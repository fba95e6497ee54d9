/** What is accepted as the name of a network interface. Part of the plugin contract; pure. */

/** Longest name of an interface, in bytes (IFNAMSIZ - 1, linux/if.h). */
const NAME_MAX = 15;

/** What is accepted, in words. */
export const INTERFACE_NAME_RULE =
  `1 to ${NAME_MAX} bytes without blanks, control characters, /, : and %, not beginning with ` +
  "-, ! or @, not ending with +";

/** Directories beside the interfaces' own in /proc/sys/net/ipv4/conf; the others are no files. */
const RESERVED = new Set([".", "..", "all", "default"]);

/**
 * Whether a text can be the name of an interface. It refuses a little more than the kernel
 * (dev_valid_name in net/core/dev.c): `%`, which makes the kernel choose a number; what programs take
 * for more than a name, a leading `-` (an option), `!` (iptables: all others) or `@` (ovs-vsctl: a
 * reference) and a `+` at the end (iptables: all that begin so); and `all` and `default`, which have
 * a meaning of their own in /proc.
 */
export function isInterfaceName(name: string): boolean {
  // deno-lint-ignore no-control-regex
  if (/[\s\x00-\x20\x7f-\xa0/:%]|^[-!@]|\+$/.test(name) || RESERVED.has(name)) return false;
  const { length } = new TextEncoder().encode(name);
  return length >= 1 && length <= NAME_MAX;
}

/** What is accepted as {@link isGatewayDevice}, in words. */
export const GATEWAY_DEVICE_RULE = `${INTERFACE_NAME_RULE}, also with :LABEL`;

/** The same, behind which the label of one of its addresses may be (`eth0:1`). */
export function isGatewayDevice(text: string): boolean {
  return /^[^:]+(:[\w.-]*)?$/.test(text) && isInterfaceName(text.split(":")[0]!);
}
