/**
 * Lint rules for what a file shows by itself. Which file may import which is data in `boundaries.ts`,
 * and `check_imports.ts` holds all files together to it.
 * - Only `platform/bun`, `tools`, `compile`, `test`, and plugins to start from may touch the runtime.
 * - What is imported at run time is named in the text: else nobody could tell which way it leads.
 */

const runtimeAllowed = /\/(platform\/bun|tools|compile|test|plugins\/templates|examples)\//;

/** Plugins are files of others; the demonstration on real parts borrows from the tests. */
const computedAllowed =
  /\/(platform\/bun\/modules|simulation\/demo\/real_machine)\.ts$|\/(tools|compile|test)\//;

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
