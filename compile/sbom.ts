/** A bill of materials in CycloneDX's JSON: what is inside of a binary. Pure. */

/** Something of others that is inside. */
export interface Component {
  /** A `platform` is what runs the rest. */
  readonly type: "platform" | "library";
  /** As a package URL begins. */
  readonly ecosystem: "npm" | "deb/debian" | "generic";
  readonly name: string;
  readonly version: string;
  /** As a package URL ends: `arch=amd64`. */
  readonly qualifiers?: string;
  /** SPDX expression. */
  readonly licence: string;
  /** As in package-lock.json: `sha512-…`; undefined: not known. */
  readonly integrity?: string | undefined;
  /** Of the file that went in, hexadecimal. */
  readonly sha256?: string;
}

/** What the bill is for. */
export interface Subject {
  /** `xdevd` or `xdevd-full`. */
  readonly name: string;
  readonly version: string;
  readonly target: string;
  readonly commit: string | null;
  readonly licence: string;
  /** SHA-256 of the binary, hexadecimal. */
  readonly sha256: string;
  readonly plugins: readonly string[];
}

/** Names of the npm packages whose files are among these, sorted. */
export function packagesOf(inputs: readonly string[]): string[] {
  const names = inputs.flatMap((file) => {
    const [, name] = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file) ?? [];
    return name === undefined ? [] : [name];
  });
  return [...new Set(names)].sort();
}

/**
 * The bill. It has no date and no random number: the same binary has the same bill.
 * @param all what is inside; the own parts of these are their makers' to list
 */
export function bill(subject: Subject, all: readonly Component[]): unknown {
  const self = `pkg:generic/${subject.name}@${subject.version}?target=${subject.target}`;
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        "bom-ref": self,
        type: "application",
        name: subject.name,
        version: subject.version,
        purl: self,
        hashes: [{ alg: "SHA-256", content: subject.sha256 }],
        licenses: [{ expression: subject.licence }],
        properties: [
          { name: "xdevd:target", value: subject.target },
          { name: "xdevd:commit", value: subject.commit ?? "unknown" },
          { name: "xdevd:plugins", value: subject.plugins.join(",") || "none" },
        ],
      },
    },
    components: all.map(component),
    dependencies: [
      { ref: self, dependsOn: all.map(purl) },
      ...all.map((entry) => ({ ref: purl(entry) })),
    ],
  };
}

function component(entry: Component): unknown {
  const { type, name, version, licence } = entry;
  return {
    "bom-ref": purl(entry),
    type,
    name,
    version,
    purl: purl(entry),
    ...hashes(entry),
    licenses: [{ expression: licence }],
  };
}

function hashes({ integrity, sha256 }: Component): { hashes?: unknown } {
  if (sha256 !== undefined) return { hashes: [{ alg: "SHA-256", content: sha256 }] };
  const [, algorithm, base64] = /^sha(512|256)-(.+)$/.exec(integrity ?? "") ?? [];
  if (base64 === undefined) return {};
  return { hashes: [{ alg: `SHA-${algorithm}`, content: hexadecimal(base64) }] };
}

/** The package's URL; the `@` of a scope and the `+` of a version are escaped in it. */
function purl({ ecosystem, name, version, qualifiers }: Component): string {
  const escaped = version.replaceAll("+", "%2B");
  const end = qualifiers === undefined ? "" : `?${qualifiers}`;
  return `pkg:${ecosystem}/${name.replace("@", "%40")}@${escaped}${end}`;
}

function hexadecimal(base64: string): string {
  return Array.from(atob(base64), (char) => char.charCodeAt(0).toString(16).padStart(2, "0"))
    .join("");
}
