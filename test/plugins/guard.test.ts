/** What holds for every call of a plugin: it ends, and then it is over. */
import { describe, expect, test } from "bun:test";
import type { Device } from "../../contract/v1/plugin.ts";
import { checkAnswer, errorOf, guardedCall } from "../../core/daemon/plugin/guard.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";

const id = { backendDomid: 1, kind: "test", frontendDomid: 7, devid: 1 };
const limits = { operationMs: 1_000, graceMs: 100 };

function call<T>(
  use: (device: Device, signal: AbortSignal) => Promise<T>,
  signal = new AbortController().signal,
) {
  const clock = new FakeClock();
  const device = new FakeDevice(new FakeMachine(), id, { params: "x" });
  const result = guardedCall("test", () => device, use, signal, { clock, limits });
  result.catch(() => {});
  return { clock, device, result };
}

describe("a guarded call", () => {
  test("passes on what comes of it", async () => {
    expect(await call(async (device) => await device.nodes.read("params")).result).toBe("x");
    await expect(call(() => Promise.reject(new Error("no"))).result).rejects.toThrow("no");
    await expect(
      call(() => {
        throw new Error("at once");
      }).result,
    ).rejects.toThrow("at once");
  });

  test("knows how long it has, and that it has nothing left once it is told to stop", async () => {
    const clock = new FakeClock();
    const abort = new AbortController();
    const held = Promise.withResolvers<void>();
    let timeLeft = (): number => NaN;
    const result = guardedCall(
      "test",
      (left) => {
        timeLeft = left;
        return new FakeDevice(new FakeMachine(), id, {});
      },
      () => held.promise,
      abort.signal,
      { clock, limits },
    );
    const seen = [timeLeft()];
    await clock.advance(400);
    seen.push(timeLeft());
    abort.abort(new Error("no longer wanted"));
    seen.push(timeLeft());
    held.resolve();
    await result;
    expect(seen).toEqual([1_000, 600, 0]);
  });

  test("that takes too long is told to stop, and left behind if it does not", async () => {
    let told = "";
    const { clock, result } = call((_, signal) => {
      signal.addEventListener("abort", () => told = signal.reason.message);
      return new Promise(() => {});
    });
    await clock.advance(999);
    expect(told).toBe("");
    await clock.advance(1);
    expect(told).toBe("it did not end within 1 s");
    await clock.advance(100);
    await expect(result).rejects.toThrow("plugin test did not stop within 0.1 s: left behind");
  });

  test("that is told to stop may say why it stopped", async () => {
    const abort = new AbortController();
    const { result } = call((_, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      }), abort.signal);
    abort.abort(new Error("no longer wanted"));
    await expect(result).rejects.toThrow("no longer wanted");
  });

  test("ends what it has not waited for, and does not say that it is not wanted", async () => {
    const own = Promise.withResolvers<AbortSignal>();
    const used: AbortSignal[] = [];
    const { device, result } = call(async (device, signal) => {
      own.resolve(signal);
      void device.system.run(["/bin/sleep", "1"], signal);
      void device.system.sleep(1, new AbortController().signal);
      await device.nodes.read("params");
    });
    const never = (signal: AbortSignal) => {
      used.push(signal);
      return new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    };
    device.system.run = (_, signal) => never(signal);
    device.system.sleep = (_, signal) => never(signal);
    await result;
    expect(used.map(({ aborted, reason }) => [aborted, reason?.message])).toEqual([
      [true, "the call has ended"],
      [true, "the call has ended"],
    ]);
    expect((await own.promise).aborted).toBeFalse();
    // That nobody waits for them any more is no fault of the program's.
    await new Promise((resolve) => setTimeout(resolve, 20));
  });

  test("leaves no capability behind", async () => {
    let kept: Device | null = null;
    const { result } = call(async (device) => {
      kept = device;
    });
    await result;
    await expect(kept!.nodes.read("params")).rejects.toThrow("nodes.read: the call has ended");
    await expect(kept!.recordUndo({ a: 1 })).rejects.toThrow("the call has ended");
    await expect(kept!.system.exclusively("x", AbortSignal.timeout(9), async () => {})).rejects
      .toThrow("the call has ended");
  });

  test("starts no timer that outlives it", async () => {
    const { clock, result } = call(async () => {});
    await result;
    expect(clock.pending).toBe(0);
  });
});

describe("what plugins throw and answer", () => {
  test.each([
    ["a text", () => "text", "text"],
    ["nothing", () => undefined, "undefined"],
    ["an empty error", () => new Error(""), "it gave no reason"],
    ["two lines", () => new Error("one\r\n two\n"), "one two"],
    ["a long one", () => new Error("x".repeat(5_000)), `${"x".repeat(999)}…`],
    ["control characters", () => new Error("a\x1b[31mb\u202e"), "a\\x1b[31mb\\x202e"],
  ])("%s is an error with one line", (_, make, text) => {
    const thrown = make();
    expect(errorOf(thrown).message).toBe(text);
  });

  test("a check answers with a text, with findings, or nothing", () => {
    expect(checkAnswer("test", null)).toEqual({});
    expect(checkAnswer("test", undefined)).toEqual({});
    expect(checkAnswer("test", "gone")).toEqual({ broken: "gone" });
    const findings = { undone: "made anew", notices: ["down"], mended: ["route"] };
    expect(checkAnswer("test", { ...findings, broken: null })).toEqual(findings);
    const many = { notices: Array.from({ length: 99 }, () => "x\n".repeat(2_000)) };
    const { notices = [] } = checkAnswer("test", many);
    expect(notices).toHaveLength(16);
    expect(notices[0]!.length).toBeLessThanOrEqual(1_000);
    expect(notices[0]).not.toContain("\n");
  });

  test.each([
    [false, "answered a check with boolean"],
    [["gone"], "answered a check with object"],
    [{ borken: "gone" }, 'answered a check with "borken"'],
    [{ broken: 7 }, "answered a check with broken that is number"],
    [{ notices: "down" }, "answered a check with notices that is no list"],
    [{ mended: [7] }, "answered a check with mended that is number"],
  ])("a check may not answer %j", (answer, complaint) => {
    expect(() => checkAnswer("test", answer)).toThrow(complaint);
  });
});
