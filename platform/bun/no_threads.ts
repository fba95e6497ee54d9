/**
 * Settings of the runtime by which it works without threads of its own. It starts them when it needs them, ends
 * them when they rest, and where there can be none (RLIMIT_NPROC, a control group's pids.max) it ends the process,
 * or waits for one that never comes:
 * - its collector, and its compiler, work where the program does. There is little to collect, and hardly
 *   anything is compiled;
 * - no memory is touched ahead of its use (JSCWarmUp begins once so much is in use);
 * - modules are read where they are asked for.
 */
export const NO_THREADS: Readonly<Record<string, string>> = {
  BUN_JSC_useConcurrentGC: "0",
  BUN_JSC_useConcurrentJIT: "0",
  BUN_JSC_numberOfGCMarkers: "1",
  BUN_JSC_useWarmUpMarkedBlocks: "0",
  BUN_FEATURE_FLAG_DISABLE_ASYNC_TRANSPILER: "1",
};
