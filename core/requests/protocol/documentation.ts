/** docs/request-protocol.md: tables and diagrams from the code, the text around them. Pure. */
import { requestMermaid, requestRows } from "./diagram.ts";
import { DRIVER_WRITES } from "./driver_machine.ts";
import { DRIVER_NODES, REQUEST_MARK, REQUEST_NODES } from "./nodes.ts";
import { REQUEST_STATES } from "./states.ts";
import { TOOLSTACK_WRITES } from "./toolstack_machine.ts";

/** The whole document. */
export function requestDocument(): string {
  const own: readonly string[] = DRIVER_NODES;
  const nodes = Object.entries(REQUEST_NODES).map(([name, { writer, when, meaning }]) =>
    `| \`${name}\` | ${writer} | \`${own.includes(name) ? "n0,bDD" : "n0,rDD"}\` | ${when} | ` +
    `${meaning} |`
  );
  const states = Object.entries(REQUEST_STATES).map(([name, text]) => `| \`${name}\` | ${text} |`);
  const writes = Object.entries(DRIVER_WRITES).map(([step, { expects, online, to }]) =>
    `| ${step} | ${expects.join(", ")} | ${online === undefined ? "" : Number(online)} | ${to} |`
  );
  const steps = Object.entries(TOOLSTACK_WRITES).map(([step, { expects, online, record }]) =>
    `| ${step} | ${expects.map((state) => state ?? "(no request)").join(", ")} | ` +
    `${online === undefined ? "" : Number(online)} | ${record ?? ""} |`
  );
  return `# Requests: how a toolstack asks a driver domain for a device

Made from \`core/requests/protocol\` by \`npm run docs\`; a test fails when it is out of date. Version 1.

With Xen's own protocol the toolstack writes the backend directory into the driver domain's tree: it has to
know which backend serves the device (a block device, a loop device, QEMU), and both sides conclude from the
same state 6 that it is time to clean up. Here the toolstack leaves a *request*, and the driver domain makes
its own backend directory, chooses what serves it, and says when it holds nothing any more. It runs beside the
stock protocol: kernels, QEMU, guests and hotplug scripts notice no difference, \`xl block-list\` shows the
device, and \`xl destroy\` removes it.

\`DD\` is the driver domain's domid, \`FE\` the guest's, \`ID\` the device's number, \`FK\` the kind of its
frontend (\`vbd\`, \`vif\`, …), \`BK\` that of its backend. Permissions are written as in xenstore: \`n0,rDD\` is
owned by domain 0, readable by DD, and by nobody else. **The guest has no access anywhere below \`/hotplug\`.**

## What the driver domain is granted

Once, by the toolstack, when the driver domain has been created (\`xdevd request setup DD\`):

| node | permission | why |
| --- | --- | --- |
| \`/hotplug\`, \`/hotplug/domain\` | \`n0\` | |
| \`/hotplug/domain/DD\` | \`n0,rDD\` | the requests to it; what is made below inherits that |
| \`/hotplug/domain/DD/daemon\` | \`n0,bDD\` | presence: the daemon writes \`VERSION BOOT-ID\`, and empties it when it ends |
| \`/local/domain/DD/backend\`, and each \`…/BK\` and \`…/BK/FE\` below it | \`n0,bDD\` | the daemon makes backend directories itself |

\`/local/domain/DD/backend\` also gets a value, \`requests\`: a toolstack that removes the last device prunes what is
empty above it, and stops at a node with a value.

Besides, the daemon uses \`/local/domain/DD/data\`, which every domain has for its own use: below
\`data/xdevd/requests/FK/FE/ID\` it notes which request (its token) it has accepted, in the same transaction in
which it accepts it. So it knows after a restart what it holds, whatever became of the request.

Nothing else is granted. A toolstack falls back to the stock protocol where \`daemon\` is absent or empty.

## Nodes

A request is the directory \`/hotplug/domain/DD/FK/FE/ID\`, permission \`n0,rDD\`. **Each node has one writer**; the
toolstack makes those of the driver domain, empty, with permission for it: domain 0 goes on owning them, they do
not count against the driver domain's quota, and it cannot change their permissions.

| node | writer | permission | written at | meaning |
| --- | --- | --- | --- | --- |
${nodes.join("\n")}

libxl's record \`/libxl/FE/device/FK/ID\` and the backend directory bear the token as node \`${REQUEST_MARK}\`. Either
side removes or closes only what bears the token of the request that it is about: the number may be another
device's by now.

### Configuration

\`config/<name>\` becomes node \`<name>\` of the backend directory, as libxl would write it for the kind: \`mode\`,
\`dev\`, \`device-type\`, \`removable\`, \`bootable\`, \`discard-enable\`, \`direct-io-safe\`, \`specification\` for
disks; \`mac\`, \`bridge\`, \`handle\`, \`ip\`, \`rate\`, \`vifname\`, \`mtu\`, \`vlan\`, \`gatewaydev\`, \`type\` for
interfaces. Names have one component or two (\`port/1\`). Refused are the nodes that a device's life is made of:
\`frontend\`, \`frontend-id\`, \`online\`, \`state\`, \`params\`, \`script\`, \`hotplug-status\`, \`hotplug-error\`,
\`physical-device\`, \`physical-device-path\`, \`node\`, and what begins with \`xdevd-\`.

For a disk these are for the driver domain itself:

| node | value | meaning |
| --- | --- | --- |
| \`config/format\` | \`raw\` (default), \`qcow\`, \`qcow2\`, \`vhd\`, \`qed\`, \`empty\` | of the image |
| \`config/backendtype\` | \`phy\`, \`qdisk\`, \`tap\`; usually absent | which backend it has to be |

Without \`backendtype\` the driver domain chooses: \`vbd\` for a block device, a script's target, or a raw image
(over a loop device; QEMU if it is configured so), \`qdisk\` for the other formats.

## States

Node \`state\`. The toolstack writes \`new\` when it creates the request, and never again; all else is the driver
domain's.

| state | meaning |
| --- | --- |
${states.join("\n")}

\`\`\`mermaid
${requestMermaid("state")}\`\`\`

Each of these is one transaction, in which \`state\`, and \`online\` where it matters, are read again: if they are
not what is expected, nothing is written, and the daemon looks at everything anew.

| step | \`state\` has to be | \`online\` | becomes |
| --- | --- | --- | --- |
${writes.join("\n")}

(\`report-disconnected\` also takes a request that was withdrawn before it was accepted from \`new\` to
\`disconnected\`. \`claim\` and \`refuse\` read the whole request in their transaction: what they decide on is what
they accept.)

## Sequences

**Attach**

1. Toolstack, one transaction: refuse if the record exists, or a request in any state but \`disconnected\`; write
   the record (\`frontend\`, \`backend\`, copies of the backend's nodes, the token), write the request with
   \`state\`=\`new\`, \`online\`=\`1\`. There is no frontend directory yet.
2. Daemon: \`preparing\`. A version 2 hotplug script's \`prepare\` runs, if the script has one.
3. Daemon, one transaction: makes the backend directory, \`nDD,rFE\`, with all its nodes **but \`state\`**; writes
   \`backend\`; \`prepared\`.
4. Toolstack, unless \`hold\` is \`1\`, one transaction: checks \`backend\` (below), makes the frontend directory
   from \`publish/…\` with pointer \`backend\`, corrects the record's \`backend\`, writes \`frontend\`. This is
   *publishing*.
5. Daemon, one transaction: \`state\`=\`1\` in the backend directory, \`connecting\`. From here kernel or QEMU and
   the hotplug script do what they always do.
6. Daemon: \`connected\` with \`hotplug-status\`=\`connected\`, or \`error\` with \`error\`.
7. Toolstack: done at \`connected\`. At \`error\`, or when its own time is up (60 s), it detaches.

Why the frontend comes in the middle: Linux's xenbus (\`drivers/xen/xenbus\`) makes a device of a frontend in state
1 as soon as it appears, and gives it up for good if its backend directory does not exist; and it makes a device
of a backend in state 1 only if its frontend exists, and unregisters it if that has no state. So the backend
directory has to come first, without \`state\`; then the frontend; then the backend's \`state\`. It also means that
a guest sees nothing of a device that cannot be prepared, and that a request can be held in \`prepared\` while a
guest migrates.

**Detach**

1. Toolstack: \`online\`=\`0\`. By force: also \`force\`=\`1\`, and it deletes the frontend directory in the same
   transaction, as \`xl\` does.
2. Daemon: \`disconnecting\`; \`online\`=\`0\`, \`state\`=\`5\` in the backend directory (by force: 6). It waits for 6 as
   long as the guest takes, patience being the toolstack's; then for the kernel to let go; then the script's
   \`remove\`.
3. Daemon: \`hotplug-status\`=\`disconnected\` in the backend directory and in the request; then it deletes the
   backend directory; then \`unprepare\`, if there was a \`prepare\`.
4. Daemon, one transaction: \`disconnected\`, its own note deleted.
5. Toolstack, one transaction: frontend directory, record, request deleted, with what is empty above them.

A guest that closes its device (frontend in state 6, \`online\`=\`1\`) changes nothing: it may come back.

**Hold.** A request with \`hold\`=\`1\` stays in \`prepared\`. To go on, a toolstack writes \`0\` and publishes.

**Gone.** \`xl destroy\` and \`xl block-detach\` know nothing of requests: record, frontend and backend directory go,
the request stays. The daemon undoes what it holds and says \`disconnected\`; any toolstack may delete such a
request, and a new one for the same number replaces it.

**A driver domain that was restarted** has another domid. Requests to the old one are dead: a toolstack deletes
\`/hotplug/domain/OLD\` and makes them anew.

## Race rules

1. **The toolstack never acts on backend state 6.** It deletes nothing before \`state\`=\`disconnected\`. Without this
   rule it deletes what the script needs; \`test/core/requests/protocol\` prints the way there.
2. One writer for each node; nobody concludes anything from a node that it writes itself.
3. The daemon reads \`online\` again, in the same transaction, before each step that cannot be taken back.
   \`connected\` is never written after \`online\`=\`0\`.
4. A number can be attached again only when its request was deleted or is \`disconnected\`. A daemon leaves a \`new\`
   request alone as long as anything of an earlier device of this number is left, the kernel's part included.
5. A request that was deleted, or has become another one (\`state\` is \`new\` again), is one that was withdrawn by
   force; there is nobody to report to.
6. A daemon that starts looks at its notes and at the requests: \`new\`, and \`preparing\` after \`unprepare\`, begin
   from the start; \`prepared\` waits; \`connecting\` and \`connected\` are the device's lane's, which has a journal;
   \`disconnecting\` goes on; \`disconnected\` and \`error\` stay.
7. Any toolstack can go on with any request, from what the store says: attach, wait and detach are where a
   toolstack begins, not what it remembers.

## Whom to believe

- The toolstack takes nothing of the driver domain on trust. \`state\` has to be one of the words; \`backend\` has to
  be exactly \`/local/domain/DD/backend/BK/FE/ID\`, with a BK that can serve FK. Any other path is a failed
  attach: it would let a driver domain have the guest, or the record that \`xl\` deletes by, point at somebody
  else's. \`error\` and \`pdev\` are shown with control characters escaped.
- The driver domain takes the request for what it is, the text of some tenant: names and lengths are checked,
  values have one line, the script has to pass the rules for scripts.
- The guest reads its frontend and its backend directory, as ever. It cannot read the request.

## The driver domain's machine

\`seen\` is a look at the store, at one instant. When a step's transaction finds something else than it expects
(\`missed\`), all is looked at anew, as by a daemon that has just started.

\`\`\`mermaid
${requestMermaid("driver")}\`\`\`

| in | on | if | goes to | does |
| --- | --- | --- | --- | --- |
${requestRows("driver")}

The first row that fits decides. \`lost\`: no request, or another one; \`claimed\`: the daemon has noted it as
accepted; \`idle\`: nothing is left of the device; \`vacant\`: nor of an earlier one of this number; \`up\`, \`down\`:
the device's lane ([lifecycle.md](lifecycle.md)) has set it up, or has failed and undone what it did.

## The toolstack's machine

\`\`\`mermaid
${requestMermaid("toolstack")}\`\`\`

| in | on | if | goes to | does |
| --- | --- | --- | --- | --- |
${requestRows("toolstack")}

\`expired\`: by default after 60 s in \`waiting\`, 10 s in \`detaching\`, 60 s in \`forcing\`; one that has to expire twice
deletes without the driver domain's word (\`abandon\`), which then undoes what it holds by rule 5. Each step is
one transaction, with these conditions:

| step | \`state\` has to be | \`online\` | record |
| --- | --- | --- | --- |
${steps.join("\n")}

## What is proved

\`test/core/requests/protocol/protocol.test.ts\` walks every interleaving of toolstacks, daemon, lane, kernel, guest, and of
\`xl\` beside them, one device, each step a transaction, with either side killed between any two steps and started
again with nothing but the store and the journal; with scripts that fail, hang, or outlive the daemon; with
requests that make no sense, and driver domains that name a backend that cannot be. In every state: nothing is
deleted that a script still needs, \`disconnected\` and \`error\` are true, \`connected\` is not told of a request that
was withdrawn, the guest is shown no backend that does not exist. From every state, without anything more going
wrong: no leftovers can be reached, and what is wanted can be connected. A table without any one of its rows
breaks at least one of these; a test removes each in turn.
`;
}
