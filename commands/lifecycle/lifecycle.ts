/** `xdevd lifecycle`: the diagram of a device's life. */
import { toDot, toMermaid } from "../../core/lifecycle/diagram.ts";
import type { DiagramFormat } from "./formats.ts";
import { printTo } from "../../platform/self.ts";

export async function printLifecycle(format: DiagramFormat): Promise<void> {
  printTo(1, await renderLifecycle(format));
}

export async function renderLifecycle(format: DiagramFormat): Promise<string> {
  switch (format) {
    case "mermaid":
      return toMermaid();
    case "dot":
      return toDot();
    case "svg": {
      // Graphviz itself, compiled to WebAssembly: a megabyte that nothing else needs.
      const { instance } = await import("@viz-js/viz");
      return (await instance()).renderString(toDot(), { format: "svg" });
    }
  }
}
