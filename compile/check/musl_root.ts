/**
 * A root like Alpine's, as far as our binary can tell: Debian's musl, and a C++ library for it.
 *
 * The runtime's musl build needs `libstdc++.so.6`, which Debian has for glibc only. But Debian's static
 * `libstdc++.a` needs next to nothing that musl lacks; so the objects that the runtime uses are linked
 * to a library, with stand-ins for the rest. This is for trying binaries out; Alpine's package
 * `libstdc++` is the real thing.
 */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { put, run, unpacked } from "./foreign.ts";

const STAND_INS = `
#include <sys/random.h>
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;
char __libc_single_threaded = 0;
struct dl_find_object;
int _dl_find_object(void *address, struct dl_find_object *result) {
  (void)address; (void)result;
  return -1; /* not known: the unwinder asks dl_iterate_phdr then */
}
unsigned arc4random(void) {
  unsigned value = 0;
  getrandom(&value, sizeof value, 0);
  return value;
}
`;

/**
 * Makes the root, with the binary as /usr/sbin/xdevd.
 * @throws Error when packages or tools are missing
 */
export function muslRoot(binary: string): string {
  const root = resolve("build/foreign/musl-root");
  rmSync(root, { recursive: true, force: true });
  for (const name of ["proc", "dev", "run", "tmp", "etc", "sys", "lib", "usr/sbin", "bin"]) {
    mkdirSync(join(root, name), { recursive: true });
  }
  const musl = unpacked("amd64", ["musl", "busybox-static"]);
  put(join(musl, "lib/x86_64-linux-musl/libc.so"), join(root, "lib/libc.musl-x86_64.so.1"));
  symlinkSync("libc.musl-x86_64.so.1", join(root, "lib/ld-musl-x86_64.so.1"));
  put(join(musl, "bin/busybox"), join(root, "bin/busybox"));
  symlinkSync("busybox", join(root, "bin/sh"));
  put(binary, join(root, "usr/sbin/xdevd"));
  linkLibrary(binary, join(root, "lib/libstdc++.so.6"), root);
  return root;
}

function linkLibrary(binary: string, library: string, scratch: string): void {
  const source = join(scratch, "tmp/stand_ins.c");
  const object = join(scratch, "tmp/stand_ins.o");
  writeFileSync(source, STAND_INS);
  run(["gcc", "-fPIC", "-O1", "-c", source, "-o", object]);
  const archive = (name: string) => {
    const path = run(["gcc", `-print-file-name=${name}`]).trim();
    if (!existsSync(path)) throw new Error(`there is no ${name}; Debian: libstdc++-12-dev`);
    return path;
  };
  run([
    "gcc",
    "-shared",
    "-nostdlib",
    "-o",
    library,
    "-Wl,-soname,libstdc++.so.6",
    ...cxxSymbols(binary).map((symbol) => `-Wl,-u,${symbol}`),
    object,
    ...["libstdc++.a", "libgcc_eh.a", "libgcc.a"].map(archive),
  ]);
}

/** What the binary wants of the C++ library. */
function cxxSymbols(binary: string): string[] {
  const wanted = /\b(_Z[NSTnd]\w+|__cxa_\w+|_Unwind_\w+|__gxx_\w+|__dynamic_cast)\b/g;
  const text = run(["objdump", "-R", binary]) + run(["nm", "-D", "--undefined-only", binary]);
  const libc = new Set(["__cxa_finalize", "__cxa_thread_atexit_impl", "__cxa_atexit"]);
  return [...new Set(text.match(wanted))].filter((symbol) => !libc.has(symbol));
}
