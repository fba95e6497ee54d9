/** Reads an interface's description (varlink.org, "Interface Definition"), and holds values to it. */

/** A type; `?` and `[]` stand around another one. */
type Type =
  | { readonly is: "bool" | "int" | "float" | "string" | "object" }
  | { readonly is: "maybe" | "list" | "map"; readonly of: Type }
  | { readonly is: "named"; readonly name: string }
  | { readonly is: "enum"; readonly words: readonly string[] }
  | { readonly is: "struct"; readonly fields: Readonly<Record<string, Type>> };

/** What a description says. */
export interface Described {
  readonly name: string;
  readonly types: Readonly<Record<string, Type>>;
  readonly methods: Readonly<Record<string, { readonly takes: Type; readonly gives: Type }>>;
  readonly errors: Readonly<Record<string, Type>>;
}

/** @throws Error where it is no description */
export function parseDescription(text: string): Described {
  const tokens = text.replace(/#.*$/gm, "").match(/->|\[string\]|\[\]|[A-Za-z][\w.-]*|[?(),:]/g)!;
  let at = 0;
  const peek = () => tokens[at];
  const take = (wanted?: string | RegExp): string => {
    const token = tokens[at++];
    const fits = wanted === undefined ||
      (typeof wanted === "string" ? token === wanted : wanted.test(token ?? ""));
    if (token === undefined || !fits) throw new Error(`${token} at ${at}; expected ${wanted}`);
    return token;
  };
  const type = (): Type => {
    if (peek() === "?") return take(), { is: "maybe", of: type() };
    if (peek() === "[]") return take(), { is: "list", of: type() };
    if (peek() === "[string]") return take(), { is: "map", of: type() };
    if (peek() === "(") return body();
    const name = take(/^[A-Za-z]/);
    if (/^(bool|int|float|string|object)$/.test(name)) return { is: name as "int" };
    if (!/^[A-Z]/.test(name)) throw new Error(`no type: ${name}`);
    return { is: "named", name };
  };
  const body = (): Type => {
    take("(");
    const fields: Record<string, Type> = {};
    const words: string[] = [];
    while (peek() !== ")") {
      const name = take(/^[A-Za-z]/);
      if (peek() === ":") take(), fields[name] = type();
      else words.push(name);
      if (peek() !== ")") take(",");
    }
    take(")");
    if (words.length > 0 && Object.keys(fields).length > 0) throw new Error("half an enum");
    return words.length > 0 ? { is: "enum", words } : { is: "struct", fields };
  };
  take("interface");
  const described = {
    name: take(/^[a-z][\w-]*(\.[A-Za-z][\w-]*)+$/),
    types: {} as Record<string, Type>,
    methods: {} as Record<string, { takes: Type; gives: Type }>,
    errors: {} as Record<string, Type>,
  };
  while (peek() !== undefined) {
    const what = take(/^(type|method|error)$/);
    const name = take(/^[A-Z]/);
    if (what === "type") described.types[name] = body();
    else if (what === "error") described.errors[name] = body();
    else {
      const takes = body();
      take("->");
      described.methods[name] = { takes, gives: body() };
    }
  }
  return described;
}

/** What is wrong with a value; null: nothing. */
export function faultOf(value: unknown, type: Type, of: Described, path = ""): string | null {
  const wrong = (expected: string) => `${path}: ${JSON.stringify(value)}; expected ${expected}`;
  switch (type.is) {
    case "maybe":
      return value === null || value === undefined ? null : faultOf(value, type.of, of, path);
    case "named": {
      const named = of.types[type.name];
      return named === undefined ? `no type ${type.name}` : faultOf(value, named, of, path);
    }
    case "list":
      if (!Array.isArray(value)) return wrong("a list");
      return firstOf(value.map((one, index) => faultOf(one, type.of, of, `${path}[${index}]`)));
    case "enum":
      return type.words.includes(value as string) ? null : wrong(type.words.join(", "));
    case "struct": {
      if (typeof value !== "object" || value === null) return wrong("an object");
      const given = value as Record<string, unknown>;
      const more = Object.keys(given).find((name) => !Object.hasOwn(type.fields, name));
      if (more !== undefined) return `${path}.${more} is not described`;
      return firstOf(
        Object.entries(type.fields).map(([name, field]) =>
          faultOf(given[name], field, of, `${path}.${name}`)
        ),
      );
    }
    case "int":
      return Number.isInteger(value) ? null : wrong("a whole number");
    case "float":
      return Number.isFinite(value) ? null : wrong("a number");
    case "bool":
      return typeof value === "boolean" ? null : wrong("true or false");
    case "string":
      return typeof value === "string" ? null : wrong("a text");
    default:
      return null;
  }
}

function firstOf(faults: readonly (string | null)[]): string | null {
  return faults.find((fault) => fault !== null) ?? null;
}
