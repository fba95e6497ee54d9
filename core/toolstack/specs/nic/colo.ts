/** Parameters of a network interface that is replicated (COLO); texts, all of them. Pure. */

/**
 * Their names, which are those of the backend's nodes too, in the order of `libxl_device_nic`
 * (libxl_types.idl). `forwarddev` is not among them: it has another name there.
 */
export const NIC_COLO_KEYS: readonly string[] = [
  ...trios("colo_sock_", [
    "mirror",
    "compare_pri_in",
    "compare_sec_in",
    "compare_notify",
    "redirector0",
    "redirector1",
    "redirector2",
  ]),
  "colo_filter_mirror_queue",
  "colo_filter_mirror_outdev",
  "colo_filter_redirector0_queue",
  "colo_filter_redirector0_indev",
  "colo_filter_redirector0_outdev",
  "colo_filter_redirector1_queue",
  "colo_filter_redirector1_indev",
  "colo_filter_redirector1_outdev",
  "colo_compare_pri_in",
  "colo_compare_sec_in",
  "colo_compare_out",
  "colo_compare_notify_dev",
  ...trios("colo_sock_", ["sec_redirector0", "sec_redirector1"]),
  "colo_filter_sec_redirector0_queue",
  "colo_filter_sec_redirector0_indev",
  "colo_filter_sec_redirector0_outdev",
  "colo_filter_sec_redirector1_queue",
  "colo_filter_sec_redirector1_indev",
  "colo_filter_sec_redirector1_outdev",
  "colo_filter_sec_rewriter0_queue",
  "colo_checkpoint_host",
  "colo_checkpoint_port",
];

function trios(prefix: string, sockets: readonly string[]): string[] {
  return sockets.flatMap((socket) =>
    ["id", "ip", "port"].map((end) => `${prefix}${socket}_${end}`)
  );
}
