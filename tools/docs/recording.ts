/** docs/sandbox.md: a session in `xdevd sandbox`, as it went. */
import { spawn, spawnSync } from "node:child_process";

/** Where the sandbox is said to be: as long as where it is, so that columns stay. */
const SHOWN = "/tmp/xdevd-sandbox-a1b2c3d4";

/** What is typed, with `{}` for the sandbox's directory, and what is said before it. */
const SESSION: readonly (readonly [about: string, line: string])[] = [
  ["What the driver domain's daemon serves, and what is wrong:", "{}/storage status"],
  [
    "Another disk for the guest `web`, as `xl block-attach` would give it; and how that went:",
    "{}/dom0 block-attach web vdev=xvdb,backend=storage,target={}/spare.img --wait connected",
  ],
  ["", "{}/storage trace vbd/7/51728"],
  ["All devices, as domain 0 sees them:", "{}/dom0 list"],
  [
    "What the driver domain lacks, as far as the store tells in domain 0:",
    "{}/dom0 doctor --domain storage",
  ],
  ["Metrics:", "{}/storage metrics | grep -v -e '^#' -e _bucket"],
  ["And away with the disk:", "{}/dom0 block-detach web xvdb"],
];

/** No step takes longer, in ms. */
const PATIENCE_MS = 60_000;

/** Plays it. @param program how xdevd is called @throws Error when a line fails that should not */
export async function record(program: readonly [string, ...string[]]): Promise<string> {
  const [file, ...args] = program;
  const child = spawn(file, [...args, "sandbox"], {
    env: { PATH: process.env["PATH"] ?? "", TMPDIR: "/tmp" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  try {
    let said = "";
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`it never began: ${said}`)), PATIENCE_MS);
      child.stdout.on("data", (chunk: Uint8Array) => {
        said += new TextDecoder().decode(chunk);
        if (!said.includes("Ctrl-C ends")) return;
        clearTimeout(timer);
        resolve();
      });
      child.once("exit", () => reject(new Error(`it ended: ${said}`)));
    });
    const directory = /^(?:.*\n)*.* (\/tmp\/\S+)\/dom0 is xdevd/.exec(said)![1]!;
    const shown = (text: string) => text.replaceAll(directory, SHOWN);
    const introduction = said.slice(said.indexOf("\nGuests") + 1);
    const parts = [`$ xdevd sandbox\n${shown(introduction)}`].map(block);
    for (const [about, template] of SESSION) {
      // The store is told how things are no more often than each second, and who waits for the guest does not
      // wait for the script to end.
      if (/--domain| trace /.test(template)) {
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
      const line = template.replaceAll("{}", directory);
      const { stdout, stderr, status } = spawnSync("/bin/sh", ["-c", line], {
        encoding: "utf8",
        env: { PATH: "/usr/bin:/bin" },
        timeout: PATIENCE_MS,
      });
      if (status === null || stderr !== "") throw new Error(`${line}: ${status} ${stderr}`);
      if (about !== "") parts.push(about);
      parts.push(block(shown(`$ ${line}\n${stdout}`)));
    }
    return `${HEAD}\n${parts.join("\n\n")}\n`;
  } finally {
    child.kill("SIGTERM");
    await exited;
  }
}

function block(text: string): string {
  return `\`\`\`console\n${text.trimEnd()}\n\`\`\``;
}

const HEAD = `# A session in the sandbox

\`xdevd sandbox\` needs neither Xen nor root: store, kernel and guests are simulated, the daemon is the real one. This page was
recorded by \`npm run docs\`; \`test/docs/recording.test.ts\` plays it again.
`;

/**
 * What is the same each time that it is played: no times and sizes, blanks and columns; of a trace what the script
 * was run for, since what happens at once is seen in any order, or together.
 */
export function lasting(page: string): string {
  return page.split("\n").map((line) =>
    line.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
      .replace(/\b[\d.]+ (ms|s|min|MB)\b/g, "N $1")
      .replace(/^(xdevd_(?!devices|operations|failures|retries|up|info)\S+) .*$/, "$1 N")
      .replace(/\s+/g, " ")
  ).filter((line) => !/^ N ms (?!script \S+\/block add)/.test(line)).join("\n");
}
