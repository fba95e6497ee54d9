/** Standing between a plugin and its device: every use of a capability passes by. Pure. */
import type { Device } from "../../../contract/v1/plugin.ts";

/**
 * Called before each use of a capability, with its name as in docs/plugin-protocol.md
 * (`nodes.write`, say). What it throws, the plugin gets; what it awaits, the plugin waits for.
 */
export type Before = (capability: string, args: readonly unknown[]) => Promise<void> | void;

/** A device that asks `before` first. What takes no time (`log`, `undo`, …) is passed on as it is. */
export function intercept(device: Device, before: Before): Device {
  const through = <Args extends readonly unknown[], T>(
    name: string,
    use: (...args: Args) => Promise<T>,
  ) =>
  async (...args: Args): Promise<T> => {
    await before(name, args);
    return await use(...args);
  };
  /** Every function of a capability that has nothing but functions. */
  const allThrough = <Capability extends object>(name: string, all: Capability): Capability =>
    new Proxy(all, {
      get(target, key) {
        const value = Reflect.get(target, key);
        return typeof value === "function"
          ? through(`${name}.${String(key)}`, value.bind(target) as () => Promise<unknown>)
          : value;
      },
    });
  const nodesOf = (name: string, nodes: Device["nodes"]): Device["nodes"] => ({
    read: through(`${name}.read`, (node) => nodes.read(node)),
    write: through(`${name}.write`, (values) => nodes.write(values)),
    remove: through(`${name}.remove`, (node) => nodes.remove(node)),
  });
  const { blocks, links } = device.system;
  const { system, children, deviceModel, directories, scripts } = device;
  return {
    id: device.id,
    nodes: nodesOf("nodes", device.nodes),
    hotplug: nodesOf("hotplug", device.hotplug),
    config: through("config", () => device.config()),
    frontend: {
      state: through("frontend.state", () => device.frontend.state()),
      writeMtu: through("frontend.writeMtu", (bytes) => device.frontend.writeMtu(bytes)),
    },
    settings: device.settings,
    scripts: {
      check: through("scripts.check", (...args) => scripts.check(...args)),
      version: through("scripts.version", (...args) => scripts.version(...args)),
      usesVersion2: through("scripts.usesVersion2", () => scripts.usesVersion2()),
      prepare: through("scripts.prepare", (...args) => scripts.prepare(...args)),
      run: through("scripts.run", (...args) => scripts.run(...args)),
      addOnCopy: through("scripts.addOnCopy", (...args) => scripts.addOnCopy(...args)),
    },
    system: {
      exists: through("system.exists", (path) => system.exists(path)),
      readText: through("system.readText", (path) => system.readText(path)),
      list: through("system.list", (path) => system.list(path)),
      identityOf: through("system.identityOf", (path) => system.identityOf(path)),
      realPath: through("system.realPath", (path) => system.realPath(path)),
      run: through("system.run", (argv, signal) => system.run(argv, signal)),
      sleep: through("system.sleep", (ms, signal) => system.sleep(ms, signal)),
      exclusively: async (name, signal, work) => {
        await before("system.exclusively", [name]);
        return await system.exclusively(name, signal, work);
      },
      blocks: allThrough("blocks", blocks),
      links: allThrough("links", links),
    },
    children: {
      start: through("children.start", (name, argv) => children.start(name, argv)),
      running: through("children.running", (name) => children.running(name)),
      stop: through("children.stop", (name) => children.stop(name)),
    },
    deviceModel: {
      start: through("deviceModel.start", (program, signal) => deviceModel.start(program, signal)),
      adopt: through("deviceModel.adopt", (program) => deviceModel.adopt(program)),
      status: through("deviceModel.status", () => deviceModel.status()),
      release: through("deviceModel.release", () => deviceModel.release()),
    },
    directories: {
      state: through("directories.state", () => directories.state()),
      temporary: through("directories.temporary", () => directories.temporary()),
    },
    log: device.log,
    timeLeft: () => device.timeLeft(),
    get undo() {
      return device.undo;
    },
    copy: device.copy,
    recordUndo: through("recordUndo", (more) => device.recordUndo(more)),
    heldElsewhere: (name, value, by) => device.heldElsewhere(name, value, by),
    holders: (name, value, by) => device.holders(name, value, by),
    sameMachine: (frontendDomid) => device.sameMachine(frontendDomid),
    heldValues: (name) => device.heldValues(name),
  };
}
