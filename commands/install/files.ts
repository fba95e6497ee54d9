/** The texts of `packaging/`, which are part of the program. */
import config from "../../packaging/config.toml" with { type: "text" };
import defaults from "../../packaging/default" with { type: "text" };
import dracutServe from "../../packaging/dracut/xdevd-serve.sh" with { type: "text" };
import dracutSetup from "../../packaging/dracut/module-setup.sh" with { type: "text" };
import hook from "../../packaging/initramfs-tools/hook" with { type: "text" };
import script from "../../packaging/initramfs-tools/script" with { type: "text" };
import initramfs from "../../packaging/initramfs.conf" with { type: "text" };
import logrotate from "../../packaging/logrotate/xdevd" with { type: "text" };
import openrc from "../../packaging/openrc/xdevd" with { type: "text" };
import systemd from "../../packaging/systemd/xdevd.service" with { type: "text" };
import sysv from "../../packaging/sysv/xdevd" with { type: "text" };

/** By what they are for. */
export const TEXTS = {
  config,
  defaults,
  dracutServe,
  dracutSetup,
  hook,
  script,
  initramfs,
  logrotate,
  openrc,
  systemd,
  sysv,
} as const;
