/** Where plugins and their configuration are. */

/** Where plugins are looked for unless told otherwise; none of them has to exist. */
export const PLUGIN_DIRECTORIES: readonly string[] = [
  "/usr/lib/xdevd/plugins",
  "/etc/xdevd/plugins.d",
];

/** The configuration file's default place. */
export const DEFAULT_CONFIG = "/etc/xdevd/config.toml";
