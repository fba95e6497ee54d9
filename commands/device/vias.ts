/** How a driver domain is told of a device. */

/** Ways of telling a driver domain. */
export const VIAS = ["stock", "request", "auto"] as const;
/** One of {@link VIAS}. */
export type Via = typeof VIAS[number];
