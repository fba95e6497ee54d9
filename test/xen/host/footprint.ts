/** What a driver domain must ship for each daemon: files and bytes, each file once. */
import * as fs from "node:fs";
import { librariesOf } from "../../../compile/image/programs.ts";
import {
  scriptFiles,
  scriptPrograms,
  scriptXenstoreTools,
  xlFiles,
} from "../../../compile/image/stock.ts";

/** A sum over files. */
export interface Size {
  readonly what: string;
  readonly files: number;
  readonly bytes: number;
}

/** What `block` and `vif-bridge` start besides {@link scriptPrograms}; here Debian's programs, not busybox. */
const otherScriptPrograms = [
  ...[
    "awk",
    "basename",
    "cat",
    "cut",
    "dirname",
    "grep",
    "logger",
    "mkdir",
    "readlink",
    "rm",
    "sed",
  ]
    .map((name) => `/usr/bin/${name}`),
  ...scriptXenstoreTools,
];

/** The sums that the report shows. */
export function footprint(daemon: string, full: string): Size[] {
  const withScripts = [...scriptFiles, ...scriptPrograms, ...otherScriptPrograms];
  return [
    sum("xdevd: the binary, which needs nothing else", [daemon], true),
    sum("xdevd-full: the binary with its libraries (libc)", [full], true),
    sum("xdevd: with `block`, `vif-bridge` and all they start", [daemon, ...withScripts], true),
    sum("xl devd: `xl` with its libraries", xlFiles, true),
    sum(
      "xl devd: with `block`, `vif-bridge` and all they start",
      [...xlFiles, ...withScripts],
      true,
    ),
  ];
}

function sum(what: string, files: readonly string[], withLibraries: boolean): Size {
  const all = new Set<string>();
  for (const file of files.filter((file) => fs.existsSync(file))) {
    all.add(fs.realpathSync(file));
    if (!withLibraries) continue;
    for (const library of librariesOf(file)) all.add(fs.realpathSync(library));
  }
  let bytes = 0;
  for (const file of all) bytes += fs.statSync(file).size;
  return { what, files: all.size, bytes };
}
