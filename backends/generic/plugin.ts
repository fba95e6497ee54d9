/**
 * Kinds that need nothing set up: their backend, in the kernel or a program of its own, does all.
 * What is left is what every kind gets from the daemon: waiting for the backend, closing, deleting
 * the directory, cleaning up after a guest that has died.
 */
import { definePlugin } from "../../contract/v1/plugin.ts";
import { manifest } from "./manifest.ts";

export default definePlugin({
  ...manifest,
  async add() {},
  async remove() {},
});
