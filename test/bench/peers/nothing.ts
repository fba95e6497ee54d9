/** The peer of `bench startup`: what the runtime costs that does nothing. */
export {};
