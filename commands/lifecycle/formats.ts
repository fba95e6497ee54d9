/** What `xdevd lifecycle` prints. */

/** What the diagram can be printed as. */
export const DIAGRAM_FORMATS = ["mermaid", "dot", "svg"] as const;

export type DiagramFormat = (typeof DIAGRAM_FORMATS)[number];
