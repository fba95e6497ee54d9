/** Why a program has ended, from what it said. */
import { expect, test } from "bun:test";
import { LastWords } from "../../../plugins/process/session.ts";

const TRACEBACK = `Traceback (most recent call last):
  File "/opt/my-disks", line 9, in <module>
    start()
  File "/opt/lib/more.py", line 31, in start
    nothing()
NameError: name 'nothing' is not defined`;

test.each([
  ["", ""],
  ["first\n\nlast words\n", "last words"],
  [TRACEBACK, "NameError: name 'nothing' is not defined (more.py:31)"],
  [`${TRACEBACK}\nand then`, "NameError: name 'nothing' is not defined (more.py:31)"],
  [
    '  File "/opt/my-disks", line 2\n    x = ;\n        ^\nSyntaxError: invalid syntax',
    "SyntaxError: invalid syntax (my-disks:2)",
  ],
  ["x".repeat(1000), "x".repeat(300)],
])("%j", (text, cause) => {
  const words = new LastWords();
  for (const line of text.split("\n")) words.push(line);
  expect(words.cause).toBe(cause);
});
