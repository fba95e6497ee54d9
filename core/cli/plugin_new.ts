export const newPlugin = async (..._: unknown[]) => 0;
