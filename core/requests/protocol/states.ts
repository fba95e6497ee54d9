/** The states of a request, node `state`: the driver domain's account of how far it is. Pure. */

/** In the order in which a request comes by them; each with what it means. */
export const REQUEST_STATES = {
  new:
    "The request is complete. Written by the toolstack, with all the rest of it, and never again.",
  preparing: "The driver domain has accepted it and does what takes long and needs no guest.",
  prepared: "The backend directory is there, but for its `state`. The toolstack is to publish it.",
  connecting: "The backend is in state 1; kernel and hotplug script do their part.",
  connected: "The script has succeeded. The guest may still be in any state.",
  disconnecting: "It is being removed: the backend closes, then the script undoes what it did.",
  disconnected: "Nothing is held any more, the backend directory is gone. Final.",
  error: "It failed and was undone; node `error` says why. Final until `online` is 0.",
} as const satisfies Record<string, string>;

/** One of them. */
export type RequestState = keyof typeof REQUEST_STATES;

/** Reads a `state` node; undefined unless it is exactly one of the words. */
export function parseRequestState(text: string): RequestState | undefined {
  return Object.hasOwn(REQUEST_STATES, text) ? text as RequestState : undefined;
}

/** Results of the hotplug script, node `hotplug-status` of a request. */
export const REQUEST_RESULTS = ["connected", "disconnected", "error", "busy"] as const;

/** One of them. */
export type RequestResult = typeof REQUEST_RESULTS[number];

/** Version of the protocol, node `version`. */
export const REQUEST_VERSION = "1";
