// The other half of an explorer where no Python runs, as in a report: it holds what is chosen, and answers what the graph
// on screen tells by itself.
import { along, wayBetween } from "./marks";
import { type Marks, type Model, type Trait, type Whole, World } from "./world";

type Listener = (...told: any[]) => void;

export class Still {
  private readonly values: Trait;
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly world: World;
  private readonly given: Marks | null; // what the report says of it
  private version: number;

  constructor(whole: Whole) {
    this.given = whole.marks;
    this.version = whole.version;
    this.values = { selected: null, selection: [], as_of: null, compare_to: null, theme: null, busy: false, error: "", _world: whole };
    this.world = new World(this.model);
  }

  /** It, as a widget knows it. */
  get model(): Model {
    return this as unknown as Model;
  }

  get<K extends keyof Trait>(name: K): Trait[K] {
    return this.values[name];
  }

  set<K extends keyof Trait>(name: K, value: Trait[K]): void {
    this.values[name] = value;
    this.fire(`change:${name}`);
  }

  save_changes(): void {} // there is nobody to tell

  on(name: string, listener: Listener): void {
    this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(listener));
  }

  off(name: string, listener: Listener): void {
    this.listeners.get(name)?.delete(listener);
  }

  send(asked: { kind: string; what?: string; codes?: string[] }): void {
    if (asked.kind !== "mark") return;
    const marks = this.marks(asked.what ?? "", (asked.codes ?? []).map((code) => this.world.numbers.get(code)!));
    this.version += 1;
    this.fire("msg:custom", { kind: "change", version: this.version, rest: { marks } });
  }

  private marks(what: string, nodes: number[]): Marks | null {
    if (what === "upstream" || what === "downstream") return along(this.world, nodes[0]!, what);
    if (what === "path") return wayBetween(this.world, nodes[0]!, nodes[1]!);
    return this.world.rest.marks === this.given ? null : this.given; // cleared: nothing else could bring it back
  }

  private fire(name: string, ...told: any[]): void {
    for (const listener of [...(this.listeners.get(name) ?? [])]) listener(...told);
  }
}
