/** The peer of `bench memory`: what the runtime costs that waits, and is told of nothing. */
await new Promise((resolve) => setTimeout(resolve, 2 ** 31 - 1));
