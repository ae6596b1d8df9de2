/** What a layout is, and the sizes that every layout counts on. Labels have one size, whatever they say. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  readonly key: string;
  /** Upper left corners. */
  readonly nodes: ReadonlyMap<string, Point>;
  readonly edges: ReadonlyMap<string, { readonly path: string; readonly label: Point }>;
  readonly width: number;
  readonly height: number;
}

export interface Topology {
  readonly nodes: readonly string[];
  readonly edges: readonly {
    readonly id: string;
    readonly source: string;
    readonly destination: string;
  }[];
}

export type Direction = "RIGHT" | "DOWN";

export const nodeSize = { width: 172, height: 78 } as const;
export const labelSize = { width: 128, height: 58 } as const;

/** Two graphs with one key stand in the same places. */
export function keyOf(topology: Topology, direction: Direction): string {
  return JSON.stringify([direction, topology.nodes, topology.edges.map(({ id }) => id)]);
}
