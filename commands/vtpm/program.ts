/** The command line of `xdevd vtpm`. */
import { type Command, InvalidArgumentError, Option } from "../line/command.ts";
import { absoluteFile } from "../../platform/self.ts";
import { jsonOption } from "../arguments.ts";
import type { VtpmOptions } from "./vtpm.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** For examples. */
const WEB = "01234567-89ab-cdef-0123-456789abcdef";

/** Adds it. */
export function addVtpm(program: Command, finish: (status: number) => void): void {
  const vtpm = program.command("vtpm").description("the virtual TPMs that this domain keeps")
    .example("xdevd vtpm list", "what there is, and when it was last used")
    .example("xdevd vtpm create --version 1.2", "make one of TPM 1.2; its uuid is printed");
  const sub = (usage: string, description: string) =>
    vtpm.command(usage).description(description).addOption(
      new Option("--state-dir <dir>", "the daemon's").default("/var/lib/xdevd")
        .argParser(absoluteFile),
    );
  const act = async (work: (module: typeof import("./vtpm.ts")) => number) =>
    finish(work(await import("./vtpm.ts")));
  const key = () =>
    new Option("--key-file <file>", "its state is encrypted: 64 hexadecimal digits are the key")
      .argParser(absoluteFile);
  sub("create", "make one, and print its uuid")
    .example("xdevd vtpm create", "one of TPM 2.0, with a uuid of its own")
    .example(`xdevd vtpm create ${WEB} --key-file /etc/xdevd/web.key`, "encrypted, for this uuid")
    .argument("[uuid]", "default: a random one", uuid)
    .addOption(
      new Option("--version <tpm>", "of the TPM").choices(["2.0", "1.2"]).default("2.0"),
    )
    .addOption(key())
    .action((id: string | undefined, options: VtpmOptions) => act((m) => m.create(id, options)));
  sub("list", "what there is, and when it was last used")
    .example("xdevd vtpm list", "a line each")
    .example("xdevd vtpm list --json | jq -r '.[].uuid'", "their uuids, for a program")
    .addOption(jsonOption("vtpm-list"))
    .action((options: VtpmOptions) => act((m) => m.list(options)));
  sub("show", "all that is known of one")
    .example(`xdevd vtpm show ${WEB}`, "for people")
    .example(`xdevd vtpm show ${WEB} --json`, "for programs")
    .argument("<uuid>", "the vTPM", uuid)
    .addOption(jsonOption("vtpm"))
    .action((id: string, options: VtpmOptions) => act((m) => m.show(id, options)));
  sub("export", "write one to a file, whole, which must not exist yet")
    .example(`xdevd vtpm export ${WEB} /root/web.vtpm`, "for a backup")
    .example(`xdevd vtpm export ${WEB} /dev/shm/web.vtpm`, "to move its guest to another host")
    .argument("<uuid>", "the vTPM", uuid)
    .argument("<file>", "to be made", absoluteFile)
    .action((id: string, file: string, options: VtpmOptions) =>
      act((m) => m.exportTo(id, file, options))
    );
  sub("import", "make one of what `export` has written")
    .example("xdevd vtpm import /root/web.vtpm", "its uuid is printed")
    .example("xdevd vtpm import /root/web.vtpm --key-file /etc/xdevd/web.key", "an encrypted one")
    .argument("<file>", "that was exported", absoluteFile)
    .addOption(key())
    .action((file: string, options: VtpmOptions) => act((m) => m.importFrom(file, options)));
  sub("delete", "remove one, with all that its guest has kept in it")
    .example(`xdevd vtpm delete ${WEB} --yes`, "for ever")
    .example(`xdevd vtpm delete ${WEB}`, "says what would be lost")
    .argument("<uuid>", "the vTPM", uuid)
    .option("--yes", "it is meant so")
    .action((id: string, options: VtpmOptions) => act((m) => m.remove(id, options)));
}

function uuid(text: string): string {
  if (UUID.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError(
    "Expected a uuid, such as 01234567-89ab-cdef-0123-456789abcdef.",
  );
}
