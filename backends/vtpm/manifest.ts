/** What is known of this plugin before it is loaded. */
import type { PluginManifest } from "../../contract/v2/plugin.ts";

/** Debian's, of its package swtpm. */
export const DEFAULT_BINARY = "/usr/bin/swtpm";

export const manifest: PluginManifest = {
  name: "vtpm",
  version: "0.1.0",
  api: 2,
  kinds: ["vtpm"],
  description: "virtual TPMs: one swtpm for each, served to the guest by a process of its own",
  server: {
    features: { "feature-protocol-v2": "1" },
    // Its state becomes IDLE when this side is gone: a command that waits ends (page.ts).
    pages: [{ references: ["ring-ref"], access: "write", clearOnUnmap: 4 }],
    nodes: ["feature-protocol-v2"],
    // What there is of the TPM is in swtpm.
    resumes: true,
  },
  settings: {
    binary: `swtpm's program, an absolute path (default ${DEFAULT_BINARY})`,
    user: "the user that swtpm becomes, by name or number (default: one of its own for each guest)",
    create:
      "what becomes of an unknown uuid: a new vTPM (first-use, the default), or a refusal (never)",
    version: "of vTPMs that are made at their first use: 2.0 (default) or 1.2",
    localities: "a list of the localities that guests may choose (default 0 alone)",
  },
  sample: {
    backend: { handle: "0", uuid: "01234567-89ab-cdef-0123-{device}", resume: "False" },
    // Nobody else reaches what is below the check's directory.
    settings: { user: "root" },
    needsRoot: true,
  },
};
