/** Commands that could not look say so, and take nothing for absent. */
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { specContext } from "../../commands/device/describe.ts";
import { openServing } from "../../commands/devd/serving.ts";
import { withoutDaemon } from "../../commands/status/without_daemon.ts";
import { choosePlugins } from "../../commands/plugin/set.ts";
import { DEFAULT_TIMES } from "../../core/xen/times.ts";
import { StoreClient } from "../../core/xenstore/client.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { storage } from "../../platform/storage.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import { connectInProcess } from "../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../simulation/xenstored/server.ts";
import { failure } from "../support/fake_blocks.ts";

async function storeOf(domid: number): Promise<StoreClient> {
  const server = new XenstoreServer();
  for (const domid of [1, 7]) server.introduce(domid);
  const connect = (domid: number) =>
    StoreClient.connect({
      clock: systemClock,
      connect: async () => connectInProcess(server, domid),
    });
  const dom0 = await connect(0);
  await createDomain0(dom0);
  for (const domid of [1, 7]) await createDomainHome(dom0, { domid });
  return domid === 0 ? dom0 : await connect(domid);
}

describe("the target of a disk", () => {
  const kindWith = async (code: string) => {
    const store = await storeOf(0);
    const context = await specContext({ store, ownDomid: 0 } as never, 7, {
      serve: false,
      scripts: ["/etc/xen/scripts"],
    } as never);
    const spy = spyOn(storage.files, "stat").mockImplementation(() =>
      Promise.reject(failure(code, `${code}: stat /x/disk`))
    );
    try {
      return await context.kindOfTarget("/x/disk");
    } finally {
      spy.mockRestore();
      store.close();
    }
  };

  test.each(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"])("is nothing: %s", async (code) => {
    expect(await kindWith(code)).toBe("other");
  });

  test.each(["ETIMEDOUT", "EIO", "EMFILE", "EACCES"])("cannot be looked at: %s", async (code) => {
    await expect(kindWith(code)).rejects.toThrow(
      `target "/x/disk" cannot be looked at: ${code}: stat /x/disk`,
    );
  });
});

describe("a journal of which nobody can tell whether it is of this boot", () => {
  let directory = "";
  afterEach(() => rmSync(directory, { recursive: true }));

  test("is not dropped: nothing is served", async () => {
    directory = mkdtempSync(join(tmpdir(), "xdevd-boot-"));
    const store = await storeOf(1);
    const options = { runDir: join(directory, "run"), scripts: [], scriptPath: "/bin" };
    const chosen = await choosePlugins({} as never, [], () => {});
    const open = () =>
      openServing(
        { store, location: { kind: "socket", path: "/x" } },
        1,
        options,
        { ...chosen, times: DEFAULT_TIMES },
      );
    const { readText } = systemFiles;
    const spy = spyOn(systemFiles, "readText").mockImplementation((path, ...more) =>
      path.endsWith("/boot_id")
        ? Promise.reject(failure("EMFILE", `EMFILE: open ${path}`))
        : readText(path, ...more)
    );
    try {
      await expect(open()).rejects.toThrow(
        "cannot tell this start of the machine from others: EMFILE: open /proc/sys/kernel/random/boot_id",
      );
    } finally {
      spy.mockRestore();
    }
    // The lock was given back.
    const serving = await open();
    serving.close();
    store.close();
  });
});

test("without a daemon, what of this boot is cannot be told: that is said, and not that there is nothing", async () => {
  const runDir = mkdtempSync(join(tmpdir(), "xdevd-status-"));
  writeFileSync(join(runDir, "devd-1.journal"), "");
  const { readText } = systemFiles;
  const spy = spyOn(systemFiles, "readText").mockImplementation((path, ...more) =>
    path.endsWith("/boot_id") ? Promise.reject(failure("EMFILE")) : readText(path, ...more)
  );
  try {
    const options = { runDir, store: join(runDir, "no-store") };
    const error = await withoutDaemon(options as never, "no daemon").catch((thrown) => thrown);
    expect(error.message).toBe("no daemon");
    expect(error.details.join("\n")).toContain("EMFILE");
  } finally {
    spy.mockRestore();
    rmSync(runDir, { recursive: true });
  }
});
