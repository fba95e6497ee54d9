/** The control file of a Debian package (deb-control(5)). Pure. */

/** A package. */
export interface Description {
  readonly name: string;
  /** Debian's name of the machine, or `all`. */
  readonly architecture: string;
  /** Null: it needs nothing. */
  readonly depends: string | null;
  /** Further fields. */
  readonly fields: Readonly<Record<string, string>>;
  /** One line, without an article or a full stop. */
  readonly summary: string;
  /** Lines of at most 79 characters. */
  readonly text: readonly string[];
}

/** Facts of one build. */
export interface Build {
  readonly version: string;
  /** Name and address. */
  readonly maintainer: string;
  /** Size of what is installed. */
  readonly kilobytes: number;
}

/** The file. */
export function control(description: Description, build: Build): string {
  const { name, architecture, depends, fields, summary, text } = description;
  const all = {
    Package: name,
    Version: build.version,
    Architecture: architecture,
    Maintainer: build.maintainer,
    "Installed-Size": String(build.kilobytes),
    ...(depends === null ? {} : { Depends: depends }),
    ...fields,
    Section: "admin",
    Priority: "optional",
    Description: [summary, ...text].join("\n "),
  };
  return Object.entries(all).map(([field, value]) => `${field}: ${value}\n`).join("");
}
