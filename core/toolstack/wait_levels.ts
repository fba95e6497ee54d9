/** How far a device is waited for. */

/** How far: not at all; until the backend's side is set up; until the guest uses it. */
export const WAIT_LEVELS = ["created", "hotplug", "connected"] as const;

/** One of {@link WAIT_LEVELS}. */
export type WaitLevel = typeof WAIT_LEVELS[number];
