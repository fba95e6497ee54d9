/** What a shell may complete the last word of a command line to, from the table of commands. Pure. */
import { own } from "../../contract/v1/own.ts";
import { SHELLS } from "./shells.ts";
import type { CommandData } from "../line/data.ts";
import type { Option } from "../line/option.ts";

/** A word, and what it means. */
export type Suggestion = readonly [word: string, meaning: string];

/** What has to be looked up elsewhere. */
export type Source =
  | { readonly of: "file" | "directory" | "plugin" | "served" | "store path" }
  /** @property separator what comes behind it */
  | { readonly of: "kind"; readonly separator: "" | "=" }
  /** @property names whether a domain's name will do */
  | { readonly of: "domain"; readonly names: boolean }
  /** What attaches: `disk`, or a kind. */
  | { readonly of: "device" }
  /** A device of a guest. @property device as the command line has it; undefined: of any */
  | { readonly of: "guest's device"; readonly guest: string; readonly device: string | undefined }
  /** @property stateDir where vTPMs are kept */
  | { readonly of: "vtpm"; readonly stateDir: string }
  /** @property device whose specification is being written */
  | { readonly of: "specification"; readonly device: string };

/** What can stand in the place of the last word. */
export interface Wanted {
  /** Of the word, what is as it has to be: `--store=`. */
  readonly fixed: string;
  /** The rest of the word: what is to be completed. */
  readonly typed: string;
  /** Known already. Not yet those that begin with what is typed. */
  readonly known: readonly Suggestion[];
  readonly sources: readonly Source[];
  /** Where the store is, if the line says so. */
  readonly store: string | undefined;
}

/** Devices of the commands that have them in their names. */
const FAMILIES: Readonly<Record<string, string>> = { block: "disk", network: "vif", vtpm: "vtpm" };

/**
 * Reads a line that is not complete.
 * @param program all commands
 * @param words without the program's name; the last one is being typed, and may be empty
 */
export function wanted(program: CommandData, words: readonly string[]): Wanted {
  const line = new Line(program);
  for (const word of words.slice(0, -1)) line.take(word);
  return line.at(words.at(-1) ?? "");
}

class Line {
  #command: CommandData;
  /** Of the command, and of those that it is one of. */
  #options: readonly Option[];
  readonly #operands: string[] = [];
  readonly #given = new Set<Option>();
  /** Of options, the last of each, by `--name`. */
  readonly #values = new Map<string, string>();
  /** The option whose value comes next. */
  #open: Option | undefined;
  #optionsEnded = false;

  constructor(program: CommandData) {
    this.#command = program;
    this.#options = program.options;
  }

  take(word: string): void {
    if (this.#open !== undefined) return this.#close(this.#open, word);
    if (!this.#optionsEnded && word.length > 1 && word.startsWith("-")) {
      return this.#takeOption(word);
    }
    const sub = this.#operands.length === 0 ? this.#sub(word) : undefined;
    if (sub === undefined) this.#operands.push(word);
    else {
      this.#command = sub;
      this.#options = [...this.#options, ...sub.options];
    }
  }

  #takeOption(word: string): void {
    if (word === "--") {
      this.#optionsEnded = true;
      return;
    }
    const [, name = word, value] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
    const option = this.#find(name) ?? this.#find(word.slice(0, 2));
    if (option === undefined) return;
    this.#given.add(option);
    if (!option.takesValue) return;
    if (value !== undefined) this.#close(option, value);
    // -n5 has its value; -n and --count do not.
    else if (word === option.short || word === option.long) this.#open = option;
  }

  #close(option: Option, value: string): void {
    this.#values.set(option.long, value);
    this.#open = undefined;
  }

  #find(name: string): Option | undefined {
    return this.#options.findLast(({ short, long }) => name === short || name === long);
  }

  #subs(): readonly CommandData[] {
    return this.#command.groups.flatMap(([, commands]) => commands);
  }

  #sub(word: string): CommandData | undefined {
    return this.#subs().find(({ name }) => lastOf(name) === word);
  }

  at(word: string): Wanted {
    const none = {
      fixed: "",
      typed: word,
      known: [],
      sources: [],
      store: this.#values.get("--store"),
    };
    if (this.#open !== undefined) return { ...none, ...valuesOf(this.#open) };
    if (!this.#optionsEnded && word.startsWith("-")) {
      const [, name = "", value = ""] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
      const option = this.#find(name);
      if (name === "") return { ...none, known: this.#optionWords() };
      if (!option?.takesValue) return none;
      return { ...none, fixed: `${name}=`, typed: value, ...valuesOf(option) };
    }
    if (this.#operands.length === 0 && this.#subs().length > 0) {
      const known = this.#subs().map(({ name, description }) =>
        [lastOf(name), description] as const
      );
      return { ...none, known };
    }
    const absent = [...this.#given].map(({ standsFor }) => standsFor);
    const args = this.#command.args.filter(({ name }) => !absent.includes(name));
    const arg = args[this.#operands.length] ?? (args.at(-1)?.variadic ? args.at(-1) : undefined);
    if (arg === undefined) return none;
    const source = this.#sourceOf(arg.name);
    if (source?.of === "specification") {
      const [, fixed = "", typed = word] = /^(.*,)([^,]*)$/s.exec(word) ?? [];
      return { ...none, fixed, typed, sources: [source] };
    }
    if (arg.name === "shell") return { ...none, known: SHELLS.map((shell) => [shell, ""]) };
    return { ...none, sources: source === undefined ? [] : [source] };
  }

  /** What an option has, or has by itself. */
  #valueOf(long: string): string {
    return this.#values.get(long) ?? String(this.#find(long)?.defaultValue ?? "");
  }

  /** Those that can still come. */
  #optionWords(): Suggestion[] {
    return this.#command.options
      .filter((option) => !this.#given.has(option) || /may be repeated/.test(option.description))
      .map(({ long, description }) => [long, description]);
  }

  #sourceOf(name: string): Source | undefined {
    const [first = "", second = ""] = this.#operands;
    const command = lastOf(this.#command.name);
    const family = own(FAMILIES, command.split("-")[0]!);
    switch (name) {
      case "domain":
        return { of: "domain", names: true };
      case "domid":
        return { of: "domain", names: false };
      case "spec":
        return { of: "specification", device: family ?? first };
      case "devid":
        return { of: "guest's device", guest: second, device: first };
      case "vdev":
        return { of: "guest's device", guest: first, device: "disk" };
      case "device":
        if (this.#command.args[1]?.name === "domain") return { of: "device" };
        return family === undefined
          ? { of: "served" }
          : { of: "guest's device", guest: first, device: family };
      case "uuid":
        // A new one has none of those that there are.
        return command === "create"
          ? undefined
          : { of: "vtpm", stateDir: this.#valueOf("--state-dir") };
      case "path":
      case "path-value":
        return { of: "store path" };
      case "plugin":
        return { of: "plugin" };
      case "file":
      case "target":
        return { of: "file" };
    }
    return undefined;
  }
}

function lastOf(name: string): string {
  return name.slice(name.lastIndexOf(" ") + 1);
}

function valuesOf({ flags, allowed, suggestions }: Option): Pick<Wanted, "known" | "sources"> {
  const known = (allowed ?? suggestions).map((word) => [word, ""] as const);
  const kind = /<([^>]+)>/.exec(flags)?.[1];
  const sources: readonly Source[] = known.length > 0
    ? []
    : kind === "dir"
    ? [{ of: "directory" }]
    : kind === "file" || kind === "path"
    ? [{ of: "file" }]
    : kind === "domid"
    ? [{ of: "domain", names: false }]
    : kind === "domain"
    ? [{ of: "domain", names: true }]
    : kind === "kind"
    ? [{ of: "kind", separator: "" }]
    : kind === "kind=plugin"
    ? [{ of: "kind", separator: "=" }]
    : [];
  return { known, sources };
}
