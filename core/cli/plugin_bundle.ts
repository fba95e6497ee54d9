export const bundlePlugin = async (..._: unknown[]) => 0;
