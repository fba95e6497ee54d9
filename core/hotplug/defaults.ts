/** What hotplug scripts get unless told otherwise. */

/** Debian's, and every other distribution's, script directory. */
export const DEFAULT_SCRIPT_DIRECTORY = "/etc/xen/scripts";

/** What PATH a script gets: nothing of the daemon's environment reaches it. */
export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
