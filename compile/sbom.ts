/** A bill of materials in CycloneDX's JSON: what is inside of a binary. Pure. */

/** An npm package that is inside. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly licence: string;
  /** As in package-lock.json: `sha512-…`; undefined: not known. */
  readonly integrity: string | undefined;
}

/** What the bill is for. */
export interface Subject {
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
 * @param runtime what runs it all; its own parts are its makers' to list
 */
export function bill(
  subject: Subject,
  runtime: BundledPackage,
  packages: readonly BundledPackage[],
): unknown {
  const self = `pkg:generic/xdevd@${subject.version}?target=${subject.target}`;
  const all = [runtime, ...packages];
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        "bom-ref": self,
        type: "application",
        name: "xdevd",
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
    components: all.map((entry) => component(entry, entry === runtime)),
    dependencies: [
      { ref: self, dependsOn: all.map(purl) },
      ...all.map((entry) => ({ ref: purl(entry) })),
    ],
  };
}

function component(entry: BundledPackage, isRuntime: boolean): unknown {
  const { name, version, licence, integrity } = entry;
  const [, algorithm, base64] = /^sha(512|256)-(.+)$/.exec(integrity ?? "") ?? [];
  const hashes = base64 === undefined ? {} : {
    hashes: [{ alg: `SHA-${algorithm}`, content: hexadecimal(base64) }],
  };
  return {
    "bom-ref": purl(entry),
    type: isRuntime ? "platform" : "library",
    name,
    version,
    purl: purl(entry),
    ...hashes,
    licenses: [{ expression: licence }],
  };
}

/** The package's URL; the `@` of a scope is escaped in it. */
function purl({ name, version }: BundledPackage): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

function hexadecimal(base64: string): string {
  return Array.from(atob(base64), (char) => char.charCodeAt(0).toString(16).padStart(2, "0"))
    .join("");
}
