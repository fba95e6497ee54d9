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
long getrandom(void *, unsigned long, unsigned);
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;
char __libc_single_threaded = 0;
struct dl_find_object;
unsigned long getauxval(unsigned long);
unsigned long __getauxval(unsigned long type) { return getauxval(type); }
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

/** What is needed for one kind of machine. */
interface Kind {
  /** Debian's name of it. */
  readonly debian: "amd64" | "arm64";
  /** The C library's name, for the dynamic loader. */
  readonly libc: string;
  readonly loader: string;
  /** Where Debian's package musl has it. */
  readonly source: string;
  /** A command line that runs a program of the compiler's. */
  readonly tool: (name: string) => string[];
}

/** For this machine, with its own compiler. */
const X64: Kind = {
  debian: "amd64",
  libc: "libc.musl-x86_64.so.1",
  loader: "ld-musl-x86_64.so.1",
  source: "lib/x86_64-linux-musl/libc.so",
  tool: (name) => [name],
};

/** With Debian's cross compiler, which is not installed but unpacked. */
function arm64(): Kind {
  const root = unpacked("amd64", [
    "binutils-aarch64-linux-gnu",
    "gcc-12-aarch64-linux-gnu",
    "cpp-12-aarch64-linux-gnu",
    "libgcc-12-dev-arm64-cross",
    "libstdc++-12-dev-arm64-cross",
  ]);
  const environment = [
    `PATH=${root}/usr/bin:${process.env["PATH"]}`,
    `LD_LIBRARY_PATH=${root}/usr/lib/x86_64-linux-gnu`,
  ];
  return {
    debian: "arm64",
    libc: "libc.musl-aarch64.so.1",
    loader: "ld-musl-aarch64.so.1",
    source: "lib/aarch64-linux-musl/libc.so",
    tool: (name) => [
      "env",
      ...environment,
      `aarch64-linux-gnu-${name}${name === "gcc" ? "-12" : ""}`,
    ],
  };
}

/**
 * Makes the root, with the binary as /usr/sbin/xdevd.
 * @throws Error when packages or tools are missing
 */
export function muslRoot(binary: string, machine: "x64" | "arm64"): string {
  const kind = machine === "x64" ? X64 : arm64();
  const root = resolve(`build/foreign/musl-root-${machine}`);
  rmSync(root, { recursive: true, force: true });
  for (const name of ["proc", "dev", "run", "tmp", "etc", "sys", "lib", "usr/sbin", "bin"]) {
    mkdirSync(join(root, name), { recursive: true });
  }
  const packages = unpacked(kind.debian, ["musl", "busybox-static"]);
  put(join(packages, kind.source), join(root, "lib", kind.libc));
  symlinkSync(kind.libc, join(root, "lib", kind.loader));
  put(join(packages, "bin/busybox"), join(root, "bin/busybox"));
  symlinkSync("busybox", join(root, "bin/sh"));
  put(binary, join(root, "usr/sbin/xdevd"));
  linkLibrary(binary, join(root, "lib/libstdc++.so.6"), join(root, "tmp"), kind);
  return root;
}

function linkLibrary(binary: string, library: string, scratch: string, { tool }: Kind): void {
  const source = join(scratch, "stand_ins.c");
  const object = join(scratch, "stand_ins.o");
  writeFileSync(source, STAND_INS);
  run([...tool("gcc"), "-fPIC", "-O1", "-c", source, "-o", object]);
  const archive = (name: string) => {
    const path = run([...tool("gcc"), `-print-file-name=${name}`]).trim();
    if (!existsSync(path)) throw new Error(`there is no ${name}; Debian: libstdc++-12-dev`);
    return path;
  };
  run([
    ...tool("gcc"),
    "-shared",
    "-nostdlib",
    "-o",
    library,
    "-Wl,-soname,libstdc++.so.6",
    ...cxxSymbols(binary, tool).map((symbol) => `-Wl,-u,${symbol}`),
    object,
    ...["libstdc++.a", "libgcc_eh.a", "libgcc.a"].map(archive),
  ]);
}

/** What the binary wants of the C++ library. */
function cxxSymbols(binary: string, tool: Kind["tool"]): string[] {
  const wanted = /\b(_Z[NSTnd]\w+|__cxa_\w+|_Unwind_\w+|__gxx_\w+|__dynamic_cast)\b/g;
  const text = run([...tool("objdump"), "-R", binary]) +
    run([...tool("nm"), "-D", "--undefined-only", binary]);
  const libc = new Set(["__cxa_finalize", "__cxa_thread_atexit_impl", "__cxa_atexit"]);
  return [...new Set(text.match(wanted))].filter((symbol) => !libc.has(symbol));
}
