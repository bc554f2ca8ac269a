// What Python told of the graph, kept once for all views of one widget.
import type { AnyModel } from "@anywidget/types";

export interface NodeRow {
  code: string;
  label: string;
  x: number;
  y: number;
  ci_id?: string;
  ci_name?: string;
  ci_type?: string;
  ci_subtype?: string;
  status?: string;
  criticality?: string;
  hops?: number;
  hidden?: number;
  needs?: number;
  needed?: number;
  diff?: "added" | "removed" | "changed";
  changed?: string;
  opened?: boolean;
}

export interface EdgeRow {
  from: number;
  to: number;
  type: string;
  group?: string;
  least?: number;
  diff?: "added" | "removed" | "changed";
}

export interface Marks {
  kind: string;
  title: string;
  nodes: [number, string, string][];
  edges: number[];
}

export interface Look {
  types: Record<string, [string, string]>;
  relations: Record<string, [string, number, boolean]>;
  impacts: Record<string, string>;
  dashes: number[][];
  themes: Record<"light" | "dark", Record<string, string>>;
}

export interface Told {
  name: string;
  view: string;
  shown: number;
  total: string;
  whole: boolean;
  frontier: number;
  notes: string[];
  compared: string;
}

interface Rest {
  roots: number[];
  marks: Marks | null;
  look: Look;
  told: Told;
  time: { at: string; since: string; zone: string } | null;
  asks: boolean; // a session, for what lies beyond
  alone?: boolean; // no Python answers
}

export interface Whole extends Rest {
  version: number;
  nodes: [number, NodeRow][];
  edges: [number, EdgeRow][];
}

interface Part<Row> {
  put: [number, Row][];
  drop: number[];
}

export interface Moment {
  at: string;
  text: string;
  what: string;
}

export interface Change {
  nodes: Part<NodeRow>;
  edges: Part<EdgeRow>;
}

export type Trait = {
  selected: string | null;
  selection: string[];
  as_of: string | null;
  compare_to: string | null;
  theme: "light" | "dark" | null;
  busy: boolean;
  error: string;
  _world: Whole;
};

export type Model = AnyModel<Trait>;

const nothing = <Row>(): Part<Row> => ({ put: [], drop: [] });

/** The graph as far as it was told, and who wants to know when more is. */
export class World {
  nodes = new Map<number, NodeRow>();
  edges = new Map<number, EdgeRow>();
  numbers = new Map<string, number>();
  links = new Map<number, number[]>(); // the edges at each node
  rest!: Rest;
  moments: Moment[] | null = null;
  details = new Map<string, [string, string][]>();
  private version = 0;
  private readonly listeners = new Set<(change: Change) => void>();

  constructor(private readonly model: Model) {
    this.begin(model.get("_world"));
    model.on("msg:custom", this.hear);
  }

  end(): void {
    this.model.off("msg:custom", this.hear);
  }

  onChange(listener: (change: Change) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The node at the other end of an edge. */
  other(edge: number, node: number): number {
    const row = this.edges.get(edge)!;
    return row.from === node ? row.to : row.from;
  }

  private readonly hear = (content: any): void => {
    if (content.kind === "moments") this.moments = content.moments;
    else if (content.kind === "details") this.details.set(content.code, content.fields);
    else if (content.kind === "whole") this.replace(content.world);
    else if (content.kind === "change") {
      if (content.version <= this.version) return;
      if (content.version > this.version + 1) return this.model.send({ kind: "whole" }); // one was missed
      return this.apply(content.version, content.nodes ?? nothing(), content.edges ?? nothing(), content.rest);
    } else return;
    this.tell({ nodes: nothing(), edges: nothing() });
  };

  private begin(whole: Whole): void {
    const { version, nodes, edges, ...rest } = whole;
    this.version = version;
    this.nodes = new Map(nodes);
    this.edges = new Map(edges);
    this.rest = rest;
    this.index();
  }

  private replace(whole: Whole): void {
    const before = { nodes: [...this.nodes.keys()], edges: [...this.edges.keys()] };
    this.begin(whole);
    this.tell({
      nodes: { put: whole.nodes, drop: before.nodes.filter((key) => !this.nodes.has(key)) },
      edges: { put: whole.edges, drop: before.edges.filter((key) => !this.edges.has(key)) },
    });
  }

  private apply(version: number, nodes: Part<NodeRow>, edges: Part<EdgeRow>, rest: Partial<Rest>): void {
    this.version = version;
    for (const key of nodes.drop) this.nodes.delete(key);
    for (const [key, row] of nodes.put) this.nodes.set(key, row);
    for (const key of edges.drop) this.edges.delete(key);
    for (const [key, row] of edges.put) this.edges.set(key, row);
    if (rest.time) this.details.clear(); // they were of another moment
    Object.assign(this.rest, rest);
    this.index();
    this.tell({ nodes, edges });
  }

  private index(): void {
    this.numbers = new Map([...this.nodes].map(([key, row]) => [row.code, key]));
    this.links = new Map([...this.nodes.keys()].map((key) => [key, []]));
    for (const [key, row] of this.edges) {
      this.links.get(row.from)?.push(key);
      this.links.get(row.to)?.push(key);
    }
  }

  private tell(change: Change): void {
    for (const listener of this.listeners) listener(change);
  }
}

export interface Relation {
  edge: number;
  other: number;
  type: string;
  redundant: string;
}

/** The relations of a node among what is on screen: what it needs, who needs it, and what is beside it. */
export function relations(world: World, node: number): Record<"needs" | "needed" | "beside", Relation[]> {
  const found: Record<"needs" | "needed" | "beside", Relation[]> = { needs: [], needed: [], beside: [] };
  for (const edge of world.links.get(node) ?? []) {
    const row = world.edges.get(edge)!;
    const impact = world.rest.look.impacts[row.type];
    const redundant = row.group ? `group ${row.group}, ${row.least ?? 1} needed` : "";
    const relation = { edge, other: world.other(edge, node), type: row.type, redundant };
    if (impact === "both" || impact === "none") found.beside.push(relation);
    else if ((impact === "target_to_source") === (row.from === node)) found.needs.push(relation);
    else found.needed.push(relation);
  }
  const code = (relation: Relation) => world.nodes.get(relation.other)!.label;
  for (const list of Object.values(found)) list.sort((a, b) => (code(a) < code(b) ? -1 : code(a) > code(b) ? 1 : 0));
  return found;
}

/** A node in one sentence, for those who hear it. */
export function spoken(world: World, node: number): string {
  const row = world.nodes.get(node)!;
  const mark = world.rest.marks?.nodes.find(([key]) => key === node)?.[2];
  return [
    row.label,
    row.ci_subtype ?? row.ci_type,
    row.status && row.status !== "active" ? row.status : "",
    mark,
    row.diff,
    `needed by ${row.needed ?? 0}`,
    `needs ${row.needs ?? 0}`,
    row.hidden ? `${row.hidden} hidden` : "",
  ]
    .filter(Boolean)
    .join(", ");
}
