/**
 * Lint rules for what a file shows by itself. Which file may import which is data in `boundaries.ts`,
 * and `check_imports.ts` holds all files together to it.
 * - Only `platform/bun`, `tools`, `compile`, `test`, and plugins to start from may touch the runtime.
 * - What is imported at run time is named in the text: else nobody could tell which way it leads.
 * - What is looked up by a name that somebody else may choose is a property of the object's own.
 */

const runtimeAllowed =
  /(?<!\/commands\/store)\/(platform\/bun|tools|compile|test|plugins\/templates|examples)\//;

/** Plugins are files of others; the demonstration on real parts borrows from the tests. */
const computedAllowed =
  /\/(platform\/bun\/modules|simulation\/demo\/real_machine)\.ts$|(?<!\/commands\/store)\/(tools|compile|test)\//;

const plugin: Deno.lint.Plugin = {
  name: "xdevd",
  rules: {
    "runtime-at-the-edge": {
      create(context) {
        if (runtimeAllowed.test(context.filename)) return {};
        const check = (node: Deno.lint.Node, source: unknown) => {
          if (!/^(node|bun):|^bun$/.test(String(source))) return;
          const message = `${source} is only for platform: use its interfaces`;
          context.report({ node, message });
        };
        return {
          ImportDeclaration: (node) => check(node, node.source.value),
          ExportNamedDeclaration: (node) => check(node, node.source?.value),
          ExportAllDeclaration: (node) => check(node, node.source.value),
          ImportExpression: (node) => check(node, (node.source as { value?: unknown }).value),
          Identifier(node) {
            if (node.name === "Bun" || node.name === "Deno" || node.name === "process") {
              context.report({ node, message: `${node.name} is only for platform` });
            }
          },
        };
      },
    },
    "own-properties": {
      create(context) {
        if (
          /(?<!\/commands\/store)\/(tools|compile|test|quickjs\/node)\/|\/own\.ts$/.test(
            context.filename,
          )
        ) return {};
        const tables = new Set<string>();
        const uses: { readonly node: Deno.lint.Node; readonly name: string }[] = [];
        return {
          Identifier(node) {
            if (!node.typeAnnotation) return;
            const type = context.sourceCode.getText(node.typeAnnotation);
            if (/^:\s*(Readonly<|Partial<)?Record<string,/.test(type)) tables.add(node.name);
          },
          MemberExpression(node) {
            const { object, property, parent } = node;
            if (!node.computed || property.type === "Literal" || object.type !== "Identifier") {
              return;
            }
            const isWritten = parent.type === "AssignmentExpression" && parent.left === node ||
              parent.type === "UnaryExpression" && parent.operator === "delete";
            if (!isWritten) uses.push({ node, name: object.name });
          },
          "Program:exit"() {
            for (const { node, name } of uses) {
              if (!tables.has(name)) continue;
              const message = `${name} also has what all objects have (constructor): use own()`;
              context.report({ node, message });
            }
          },
        };
      },
    },
    "imports-by-name": {
      create(context) {
        if (computedAllowed.test(context.filename)) return {};
        return {
          ImportExpression(node) {
            if (node.source.type === "Literal") return;
            context.report({ node, message: 'name what is imported: import("./file.ts")' });
          },
        };
      },
    },
  },
};

export default plugin;
