/** Generic kinds whose frontends have another kind's name. */
import { afterEach, describe, expect, test } from "bun:test";
import generic from "../../backends/generic/plugin.ts";
import { backendPath, frontendPath } from "../../core/xen/device_id.ts";
import { PluginRegistry, readyHost } from "../../core/daemon/plugin/host.ts";
import { until } from "../support/daemon_process.ts";
import { World } from "../support/simulated_domain.ts";

const FRONTEND_KINDS = { vinput: "vkbd", xen_9pfs: "9pfs", vusb: "vusb" };

let world: World;
afterEach(() => world.stop());

describe.each(Object.entries(FRONTEND_KINDS))("kind %s, frontend %s", (kind, frontendKind) => {
  const id = { backendDomid: 1, kind, frontendDomid: 7, devid: 0 };
  const spec = { id, frontendKind, backend: {}, frontend: {} };

  async function attach(): Promise<void> {
    world = new World();
    world.parts = { plugins: PluginRegistry.of(readyHost(generic)) };
    await world.start({ otherKinds: [kind], frontendKinds: FRONTEND_KINDS });
    await world.toolstack().create(spec);
    const guest = await world.guest({ ...id, kind: frontendKind });
    await guest.connected(2_000);
    const connected = () => world.daemon.devices.stateOf(id)?.phase === "connected";
    await until(connected, () => world.log.join(""));
  }

  test("is attached and detached", async () => {
    await attach();
    await world.toolstack().remove(spec);
    expect(await world.dom0.exists(backendPath(id))).toBeFalse();
  });

  test("is removed when its guest has died", async () => {
    await attach();
    await world.dom0.remove(frontendPath(id, frontendKind));
    await world.gone(id);
  });
});
