/** What is spoken on the daemon's socket: docs/io.xdevd.Devices.varlink is made from it. */
import { DEVICE_STATES } from "../../xen/device_json.ts";

/** Names of methods and errors begin so. */
export const INTERFACE = "io.xdevd.Devices";

/** Words as comments. */
function wrapped(words: readonly string[]): string {
  return `# ${words.join(", ")}`;
}

/** Its description. */
export const DESCRIPTION = `\
# The devices that an xdevd serves in its driver domain, and how that goes. Version 1.
# What is added later are fields that may be missing, methods and errors; nothing is taken away.
# Times of day are ISO 8601, UTC. What ends in Ms is a time in milliseconds.
interface ${INTERFACE}

# A device. \`device\` is what the methods take (vbd/7/51712), \`name\` what people call it (xvda, vif7.0),
# \`guest\` and \`backend\` are domids, \`doing\` is what is under way for it. \`state\` is one of
${wrapped(Object.keys(DEVICE_STATES))}.
type Device (
  device: string,
  guest: int,
  guestName: ?string,
  name: string,
  kind: string,
  vdev: ?string,
  devid: int,
  backend: ?int,
  backendName: ?string,
  target: ?string,
  way: ?string,
  state: string,
  since: ?string,
  detail: string,
  error: ?string,
  doing: ?string,
  doingMs: ?float
)

# Something that happened, as the daemon saw it; \`atMs\` is since the operation began.
type Event (atMs: float, who: string, what: string, tookMs: ?float)

type OperationName (attach, detach)

type Outcome (running, done, failed, stopped, adopted)

# An attach or a detach. \`lost\`: how many events were too many to be kept.
type Operation (
  operation: OperationName,
  startedAt: string,
  durationMs: ?float,
  outcome: Outcome,
  error: ?string,
  events: []Event,
  lost: int
)

type Bucket (leMs: int, count: int)

# Each bucket has those before it.
type Histogram (count: int, sumMs: float, buckets: []Bucket)

type OperationCount (
  kind: string,
  operation: OperationName,
  succeeded: int,
  failed: int,
  duration: Histogram
)

type DeviceCount (kind: string, way: ?string, state: string, count: int)

# \`code\` is that of docs/troubleshooting.md; \`failed\` for what has none.
type FailureCount (code: string, count: int)

type Failure (at: string, device: string, code: string, message: string)

# A call that storage has not answered; the process that waits for it was left behind.
type Unanswered (pid: int, call: string, place: string, silentMs: int)

# All devices.
method List() -> (devices: []Device)

# One device, and what is remembered of it; one that is gone has only that.
method Describe(device: string) -> (device: ?Device, history: []Operation)

# To be called with "more": a reply for each device that there is, then one for each change. \`changed\` is
# its name for the methods; when the device is gone, \`device\` is missing. With a device named, also what happens to it, as it happens.
method Follow(device: ?string) -> (
  changed: string,
  device: ?Device,
  operation: ?OperationName,
  startedAt: ?string,
  event: ?Event
)

# Tries at once what is to be tried again some time: a device that is stuck or busy.
method Retry(device: string) -> (said: string)

# Tries nothing more about a device that cannot be undone: what is left of it stays.
method GiveUp(device: string) -> (said: string)

# Reads the configuration again, as SIGHUP does.
method Reload() -> (source: ?string, applied: []string, pending: []string)

# Counted since the daemon started. A store round trip may carry several requests.
method Report() -> (
  version: string,
  domid: int,
  startedAt: string,
  uptimeMs: int,
  devices: []DeviceCount,
  operations: []OperationCount,
  failures: []FailureCount,
  lastFailures: []Failure,
  retries: int,
  storageHelpersLeft: int,
  unanswered: []Unanswered,
  storeRequests: int,
  storeRoundTrips: int,
  residentBytes: int
)

error NoSuchDevice (device: string, reason: string)
error NotStuck (device: string, reason: string)
error NothingToRetry (device: string, reason: string)
error ConfigurationRefused (code: string, reason: string)
error TooManyFollowers (most: int)
error Failed (reason: string)
`;

/** The interface that all services have (varlink.org, "Service"). */
export const SERVICE = "org.varlink.service";

/** Its description. */
export const SERVICE_DESCRIPTION = `\
# What every Varlink service has.
interface ${SERVICE}

method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
`;
