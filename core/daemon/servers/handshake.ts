/** What is to be done between a guest and its server, by the states of both sides. Pure. */
import { XenbusState } from "../../xen/states.ts";

/** How things are. */
export interface Standing {
  /** Whether the toolstack wants the device. */
  readonly online: boolean;
  /** State of the backend. */
  readonly back: XenbusState | undefined;
  /** State of the frontend; undefined when there is none any more; what makes no sense is Unknown. */
  readonly front: XenbusState | undefined;
  /**
   * What there is between server and guest: `closing` when the server was told to answer all at once;
   * `expired` when the guest has had its time after that.
   */
  readonly link: "none" | "open" | "closing" | "expired";
  /** Whether the server is able to serve. */
  readonly usable: boolean;
}

/** What is to be done next; after each, one looks again. */
export type Deed =
  | { readonly do: "nothing" }
  /** Maps and binds what the frontend offers, writes state 4, and has the server begin. */
  | { readonly do: "connect" }
  /** Has the server answer what is under way. */
  | { readonly do: "close" }
  /** Unmaps and unbinds. */
  | { readonly do: "disconnect" }
  | { readonly do: "write"; readonly state: XenbusState };

const NOTHING: Deed = { do: "nothing" };
const { Initialising, InitWait, Initialised, Connected, Closing, Closed } = XenbusState;

const write = (state: XenbusState): Deed => ({ do: "write", state });

/**
 * The next deed. Frontends differ: Linux waits in 3 for state 4, mini-os goes to 4 by itself; one whose
 * driver was unbound is in 6, and in 3 again without asking when it is bound; a kernel that was started by
 * kexec wants to see 5, 6 and 2, step by step.
 */
export function nextDeed({ online, back, front, link, usable }: Standing): Deed {
  const wants = front === Initialised || front === Connected;
  const hasLeft = front === undefined || front === Closed || front === Initialising;
  // It has died, or is being destroyed: as the kernel's backends do, since the toolstack waits for Closed.
  const isGone = front === undefined &&
    (back === InitWait || back === Initialised || back === Connected);
  if (isGone) return link === "none" ? write(Closed) : { do: "disconnect" };
  switch (back) {
    case InitWait:
      if (!online || !usable) return NOTHING;
      if (link !== "none") return { do: "disconnect" };
      return wants ? { do: "connect" } : NOTHING;
    case Initialised:
    case Connected:
      if (!usable) return NOTHING;
      if (wants && online) return link === "open" ? NOTHING : reconnect(link);
      if (!hasLeft) return front === Closing ? write(Closing) : NOTHING;
      if (link !== "none") return { do: "disconnect" };
      return online ? write(InitWait) : NOTHING;
    case Closing:
      if (hasLeft || link === "none" || link === "expired") {
        if (link !== "none") return { do: "disconnect" };
        // Of a server that has failed, the guest may not have closed its side yet.
        return hasLeft || !online || front === InitWait ? write(Closed) : NOTHING;
      }
      return link === "open" ? { do: "close" } : NOTHING;
    case Closed:
      if (link !== "none") return { do: "disconnect" };
      // The guest has begun anew, or comes back without asking.
      return online && usable && (front === Initialising || wants) ? write(InitWait) : NOTHING;
    default:
      return NOTHING;
  }
}

function reconnect(link: Standing["link"]): Deed {
  return link === "none" ? { do: "connect" } : { do: "disconnect" };
}
