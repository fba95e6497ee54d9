/** The engine's version: the build puts that of the sources it takes in the place of this. */
export const ENGINE = "unknown";
