/** docs/lifecycle.md: diagram, rows and times, all from the code. Pure. */
import { TIMES } from "../xen/times.ts";
import { rulesOf, toMermaid } from "./diagram.ts";

/** The whole document. */
export function lifecycleDocument(): string {
  const rows = rulesOf().map(({ from, on, when, to, effects, tells = "" }) =>
    `| ${from} | ${on} | ${when.join(", ")} | ${to} | ${effects.join(", ")} | ${tells} |`
  );
  const times = Object.entries(TIMES).map(([name, { ms, min, max, meaning, source }]) =>
    `| \`${name}\` | ${ms / 1000} | ${min / 1000} … ${max / 1000} | ${meaning} | ${source} |`
  );
  return `# The life of a device

Made from \`core/lifecycle/table.ts\` and \`core/xen/times.ts\` by \`npm run docs\`; a test fails when it is out of
date. \`xdevd lifecycle --format mermaid|dot|svg\` prints the diagram; [lifecycle.svg](lifecycle.svg) is it.

\`\`\`mermaid
${toMermaid()}\`\`\`

## Rows

In one of these phases, on this event, if all conditions hold: the first row that fits decides. Starting
timers and what is only told at \`info\` are left out. The last column says how loudly a person is told what
happened, and why. Of what else fails (writing a node, or the journal) a warning tells, whatever the phase.

| in | on | if | goes to | does | tells |
| --- | --- | --- | --- | --- | --- |
${rows.join("\n")}

## Times

In seconds; \`xdevd devd --time NAME=SECONDS\` sets one. When \`initWait\` or \`destroy\` is over, the device
is looked at once more, and that decides: while the store is away, it may have become ready, or another one.

| name | default | range | meaning | source |
| --- | --- | --- | --- | --- |
${times.join("\n")}

## Invariants

What random walks through the machine check (\`test/core/lifecycle/\`), with a daemon that is killed between
any two effects, scripts that outlive it, and directories that are deleted and made anew:

- never two calls of a plugin for one device at the same time, orphans of a dead daemon included;
- never two adds without a remove between; no remove of what was undone already;
- nothing is acquired that is not in the journal first, and no record is dropped while something is held;
- connected only after the script succeeded, and only in the directory that it succeeded in;
- what works is not undone as long as it is wanted, whatever happens to the daemon;
- nothing is written into a directory of the same name that is not the one that was set up;
- the directory is deleted last (but see \`budget\`), and not before the toolstack could see Closed;
- a failure has a reason, and it is published for as long as there is a directory that is not served anew;
- whatever fails, its cause is in the log at \`warning\` or \`error\`, once; a table in which any row does not
  tell what it tells breaks this, as a test shows of each. What ends because it was stopped has not failed;
- whatever has happened before, everything comes to rest: a device that is removed, dead or gone leaves
  nothing held and no record, one that is wanted ends connected, or failed with a reason.

A table without any one of its rows breaks at least one of them; a test removes each in turn.
`;
}
