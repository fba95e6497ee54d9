/**
 * Lint rules for the architecture's arrows (see docs/architecture.md):
 * - only `core/platform`, `main.ts`, `tools`, `compile`, `test`, and plugins to start from may touch
 *   the runtime;
 * - `core` never imports `backends`;
 * - `backends` import `plugins/contract` and their own files, nothing of `core`.
 */

const runtimeAllowed =
  /\/(core\/platform|tools|compile|test|plugins\/templates|examples)\/|\/main\.ts$/;

function importsOf(
  check: (source: string, report: (message: string) => void) => void,
): (context: Deno.lint.RuleContext) => Deno.lint.LintVisitor {
  return (context) => {
    const visit = (node: { source: { value: unknown } | null } & Deno.lint.Node) => {
      if (node.source === null) return;
      check(String(node.source.value), (message) => context.report({ node, message }));
    };
    return {
      ImportDeclaration: visit,
      ExportNamedDeclaration: visit as never,
      ExportAllDeclaration: visit,
    };
  };
}

const plugin: Deno.lint.Plugin = {
  name: "xdevd",
  rules: {
    "runtime-at-the-edge": {
      create(context) {
        if (runtimeAllowed.test(context.filename)) return {};
        return {
          ...importsOf((source, report) => {
            if (/^(node|bun):|^bun$/.test(source)) {
              report(`${source} is only for core/platform: use its interfaces`);
            }
          })(context),
          Identifier(node) {
            if (node.name === "Bun" || node.name === "Deno" || node.name === "process") {
              context.report({ node, message: `${node.name} is only for core/platform` });
            }
          },
        };
      },
    },
    "arrows-point-down": {
      create(context) {
        const inBackends = /\/backends\//.test(context.filename);
        const inCore = /\/core\//.test(context.filename);
        return importsOf((source, report) => {
          if (inCore && /\/backends\//.test(source)) report("core never imports backends");
          if (inBackends && /\/core\//.test(source)) {
            report("backends see only plugins/contract, nothing of core");
          }
        })(context);
      },
    },
  },
};

export default plugin;
