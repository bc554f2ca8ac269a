// The graph on a canvas: cytoscape draws nodes and edges where Python placed them; names, badges, rings and words are
// drawn over it at the size in which they are read, as many as find room.
import cytoscape from "cytoscape";
import { shapeOf } from "./shapes";
import type { Change, NodeRow, World } from "./world";

const ROW = 64; // pixels between rows, at zoom 1
const COLUMN = { least: 70, usual: 170, most: 560 }; // between columns: as wide as the frame has room for
const NAMED = 400; // names drawn at most
const MANY = 90; // nodes from which they are drawn larger than their distance asks for
const CROWD = 1200; // edges from which they are drawn straight, and not while the graph moves
const FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif";

export interface Colours {
  [role: string]: string;
}

interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Chosen {
  selected: number | null;
  selection: Set<number>;
  found: Set<number>;
}

export class Canvas {
  readonly cy: cytoscape.Core;
  private readonly over = document.createElement("canvas");
  private readonly marks = new Map<number, [string, string]>();
  private chosen: Chosen = { selected: null, selection: new Set(), found: new Set() };
  private colours: Colours = {};
  private order: number[] = [];
  private shown: Box[] = []; // what a name must not lie on
  private names: Box[] = [];
  private awaited = 0;
  private readonly watch: ResizeObserver;
  private begun = false;
  private column = COLUMN.usual;
  private readonly kinds = new Map<string, number>(); // types by number: a selector must not hold a text of others

  constructor(
    readonly place: HTMLElement,
    private readonly world: World,
    on: { tap(node: number, add: boolean): void; open(node: number): void; nowhere(): void; seen(): void },
  ) {
    const bed = document.createElement("div");
    bed.className = "ciops-x-bed";
    this.over.className = "ciops-x-over";
    this.over.setAttribute("aria-hidden", "true");
    place.append(bed, this.over);
    this.cy = cytoscape({
      container: bed,
      layout: { name: "preset" },
      autoungrabify: true,
      autounselectify: true,
      boxSelectionEnabled: false,
      userZoomingEnabled: false, // the wheel scrolls the page; see wheel()
      hideEdgesOnViewport: world.edges.size > CROWD,
      pixelRatio: world.edges.size > CROWD ? 1 : "auto",
      minZoom: 0.02,
      maxZoom: 4,
    });
    const number = (target: cytoscape.SingularElementReturnValue) => Number(target.id().slice(1));
    this.cy.on("tap", "node", (event) => on.tap(number(event.target), Boolean((event.originalEvent as MouseEvent)?.shiftKey)));
    this.cy.on("dbltap", "node", (event) => on.open(number(event.target)));
    this.cy.on("tap", (event) => event.target === this.cy && on.nowhere());
    this.cy.on("render", () => this.drawSoon());
    this.cy.on("mouseover", "node", () => (place.style.cursor = "pointer"));
    this.cy.on("mouseout", "node", () => (place.style.cursor = ""));
    place.addEventListener("wheel", this.wheel, { passive: false });
    // The page may have moved without a scroll that cytoscape hears of: a notebook moves its cells about.
    place.addEventListener("pointerdown", this.moved, true);
    place.addEventListener("pointerenter", this.moved, true);
    this.watch = new ResizeObserver(() => this.resized(on.seen));
    this.watch.observe(place);
  }

  end(): void {
    this.watch.disconnect();
    cancelAnimationFrame(this.awaited);
    this.cy.destroy();
  }

  /** All of it, once there is room: only then is known how far apart columns stand, and in which colours. */
  private begin(): void {
    const { nodes, edges } = this.world;
    this.begun = true;
    this.column = this.widened();
    this.cy.batch(() => {
      this.cy.add([...nodes].map(([key, row]) => this.node(key, row)));
      this.cy.add([...edges].map(([key]) => this.edge(key)));
      this.mark();
    });
    this.sort();
    this.show(false);
  }

  /** What was told changed; what stays on screen goes to its place, and the eye is led to what is new. */
  change(change: Change): void {
    if (!this.begun) return;
    const fresh = change.nodes.put.filter(([key]) => this.cy.$id(`n${key}`).empty());
    const lead = fresh.some(([, row]) => !this.isInView(this.at(row)));
    if (lead) this.column = this.widened(); // before anything is placed
    this.cy.batch(() => {
      for (const key of change.edges.drop) this.cy.$id(`e${key}`).remove();
      for (const key of change.nodes.drop) this.cy.$id(`n${key}`).remove();
      for (const [key, row] of change.nodes.put) {
        const there = this.cy.$id(`n${key}`);
        if (there.nonempty()) there.data(this.node(key, row).data);
        else this.cy.add(this.node(key, row));
      }
      for (const [key] of change.edges.put) {
        const there = this.cy.$id(`e${key}`);
        if (there.nonempty()) there.data(this.edge(key).data);
        else this.cy.add(this.edge(key));
      }
    });
    this.sort();
    if (this.colours.ink) this.restyle(this.colours);
    this.settle();
    if (lead) this.show(true);
  }

  /** Every node to its place, at a walking pace where that can be followed. */
  private settle(): void {
    const moved: [cytoscape.NodeSingular, cytoscape.Position][] = [];
    this.cy.nodes().forEach((one) => {
      const [now, next] = [one.position(), this.at(this.world.nodes.get(Number(one.id().slice(1)))!)];
      if (Math.hypot(now.x - next.x, now.y - next.y) > 0.5) moved.push([one, next]);
    });
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches || moved.length > 600;
    if (still) this.cy.batch(() => moved.forEach(([one, position]) => one.position(position)));
    else for (const [one, position] of moved) one.stop(true).animate({ position }, { duration: 260 });
  }

  private isInView({ x, y }: cytoscape.Position): boolean {
    const view = this.cy.extent();
    return x >= view.x1 && x <= view.x2 && y >= view.y1 && y <= view.y2;
  }

  /** All of it, in columns as far apart as the frame has room for. */
  fit(): void {
    this.column = this.widened();
    this.settle();
    this.show(true);
  }

  private show(animated: boolean): void {
    const [beside, above] = [Math.min(90, this.place.clientWidth / 8), 36]; // room for names
    const box = this.bounds();
    if (!box || !this.place.clientWidth) return;
    const zoom = Math.min((this.place.clientWidth - 2 * beside) / box.w, (this.place.clientHeight - 2 * above) / box.h, 1.15);
    const pan = { x: this.place.clientWidth / 2 - zoom * (box.x + box.w / 2), y: this.place.clientHeight / 2 - zoom * (box.y + box.h / 2) };
    if (animated && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.cy.animate({ zoom, pan }, { duration: 220 });
    else this.cy.viewport({ zoom, pan });
  }

  private at(row: NodeRow): cytoscape.Position {
    return { x: row.x * this.column, y: row.y * ROW };
  }

  /** How far apart columns have to be for a tall graph not to stand in a narrow strip. */
  private widened(): number {
    const box = this.bounds();
    if (!box || !this.place.clientHeight) return this.column;
    const across = box.w / this.column;
    const wanted = (Math.max(box.h, 4 * ROW) * this.place.clientWidth) / this.place.clientHeight / across;
    const column = Math.min(Math.max(wanted, COLUMN.least), this.world.nodes.size > 12 ? COLUMN.most : COLUMN.usual);
    return Math.abs(column / this.column - 1) < 0.1 ? this.column : column;
  }

  private bounds(): Box | null {
    if (!this.world.nodes.size) return null;
    let [x1, y1, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const row of this.world.nodes.values()) {
      const { x, y } = this.at(row);
      [x1, y1, x2, y2] = [Math.min(x1, x), Math.min(y1, y), Math.max(x2, x), Math.max(y2, y)];
    }
    return { x: x1, y: y1, w: Math.max(x2 - x1, 1), h: Math.max(y2 - y1, 1) };
  }

  /** Closer or farther, around a point, or what is selected, or the middle. */
  zoom(factor: number, around?: cytoscape.Position): void {
    const middle = { x: this.place.clientWidth / 2, y: this.place.clientHeight / 2 };
    const chosen = this.world.nodes.get(this.chosen.selected ?? -1);
    const held = chosen && this.isInView(this.at(chosen)) ? this.cy.$id(`n${this.chosen.selected}`).renderedPosition() : middle;
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: around ?? held });
  }

  /** Move the view so far that *key* is in it. */
  reveal(key: number): void {
    const target = this.cy.$id(`n${key}`);
    if (target.empty()) return;
    const { x, y } = target.renderedPosition();
    const [w, h] = [this.place.clientWidth, this.place.clientHeight];
    if (x < 40 || y < 30 || x > w - 40 || y > h - 30) this.cy.panBy({ x: w / 2 - x, y: h / 2 - y });
  }

  choose(chosen: Chosen): void {
    this.chosen = chosen;
    this.sort();
    this.drawSoon();
  }

  /** Which node lies nearest to *from* in the direction of an arrow key, among *others*. */
  toward(from: number, key: string, others: Iterable<number>): number | null {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const start = this.world.nodes.get(from);
    if (!way || !start) return null;
    const here = this.at(start);
    let best: number | null = null;
    let least = Infinity;
    for (const other of others) {
      const there = this.at(this.world.nodes.get(other)!);
      const [dx, dy] = [there.x - here.x, there.y - here.y];
      const [ahead, aside] = [dx * way[0]! + dy * way[1]!, Math.abs(dx * way[1]! + dy * way[0]!)];
      if (ahead <= 1) continue;
      const cost = ahead + 2 * aside;
      if (cost < least || (cost === least && best !== null && other < best)) [best, least] = [other, cost];
    }
    return best;
  }

  private readonly wheel = (event: WheelEvent): void => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    const frame = this.place.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.003)), { x: event.clientX - frame.left, y: event.clientY - frame.top });
  };

  private readonly moved = (): void => {
    (this.cy as any).renderer().invalidateContainerClientCoordsCache();
  };

  private resized(seen: () => void): void {
    this.cy.resize();
    if (!this.begun && this.place.clientWidth && this.place.clientHeight) {
      seen();
      this.begin();
    }
    this.drawSoon();
  }

  // How things look

  private edge(key: number): cytoscape.ElementDefinition {
    const row = this.world.edges.get(key)!;
    const [one, other] = [this.world.nodes.get(row.from)!, this.world.nodes.get(row.to)!];
    // Two of one column are joined by a bow, which goes around those between them.
    const rows = Math.abs(one.x - other.x) < 0.3 ? Math.abs(one.y - other.y) : 0;
    const bow = rows > 1.2 ? Math.min(16 + 9 * rows, 90) * Math.sign(one.y - other.y) : 0;
    const data = { bow, id: `e${key}`, source: `n${row.from}`, target: `n${row.to}`, kind: this.kind(`edge ${row.type}`), diff: row.diff ?? "" };
    return { group: "edges", data };
  }

  private node(key: number, row: NodeRow) {
    const data = {
      id: `n${key}`,
      kind: this.kind(`node ${row.ci_type ?? "?"}`),
      criticality: Number(row.criticality ?? 0),
      diff: row.diff ?? "",
      unwell: Boolean(row.status && row.status !== "active"),
    };
    return { group: "nodes" as const, data, position: this.at(row) };
  }

  private kind(name: string): number {
    const known = this.kinds.get(name) ?? this.kinds.size;
    this.kinds.set(name, known);
    return known;
  }

  /** What is marked stands out, the others step back. */
  private mark(): void {
    const { marks } = this.world.rest;
    this.marks.clear();
    for (const [key, role, word] of marks?.nodes ?? []) this.marks.set(key, [role, word]);
    const on = new Set(marks?.edges ?? []);
    this.cy.batch(() => {
      this.cy.nodes().forEach((one) => {
        one.toggleClass("dim", Boolean(marks) && !this.marks.has(Number(one.id().slice(1))));
      });
      this.cy.edges().forEach((one) => {
        one.toggleClass("dim", Boolean(marks) && !on.has(Number(one.id().slice(1))));
        one.toggleClass("on", Boolean(marks) && on.has(Number(one.id().slice(1))));
      });
    });
  }

  restyle(colours: Colours): void {
    this.colours = colours;
    const { look } = this.world.rest;
    const many = this.world.nodes.size > MANY;
    const crowd = this.world.edges.size > CROWD;
    const faint = crowd ? 0.3 : many ? 0.5 : 0.85;
    const size = this.world.nodes.size > 1000 ? 46 : many ? 38 : 24;
    this.mark();
    const style: any[] = [
      {
        selector: "node",
        style: {
          width: size, height: size, "background-color": colours.muted, "border-width": 1, "border-color": colours.ink,
          "overlay-opacity": 0, "events": "yes",
        },
      },
      {
        selector: "edge",
        style: {
          width: many ? 1.6 : 1.3, "curve-style": crowd ? "straight" : "bezier", "control-point-step-size": 24, opacity: faint,
          "arrow-scale": many ? 1.1 : 0.8, "overlay-opacity": 0, events: "no", "line-color": colours.muted, "z-index-compare": "manual",
        },
      },
      ...Object.entries(look.types).map(([type, [marker, role]]) => ({
        selector: `node[kind = ${this.kind(`node ${type}`)}]`,
        style: { shape: shapeOf(marker), "background-color": colours[role] },
      })),
      ...Object.entries(look.relations).map(([type, [role, dash, arrow]]) => ({
        selector: `edge[kind = ${this.kind(`edge ${type}`)}]`,
        style: {
          "line-color": colours[role], "target-arrow-color": colours[role], "target-arrow-shape": arrow ? "triangle" : "none",
          ...(look.dashes[dash]!.length && !crowd
            ? { "line-style": "dashed", "line-dash-pattern": look.dashes[dash]!.map((step) => step * 1.6) }
            : {}),
        },
      })),
      ...(crowd
        ? []
        : [{ selector: "edge[bow != 0]", style: { "curve-style": "unbundled-bezier", "control-point-distances": "data(bow)", "control-point-weights": 0.5 } }]),
      { selector: "node[criticality >= 4]", style: { "border-width": size / 9 } },
      { selector: "node[?unwell]", style: { "border-style": "double", "border-width": size / 6 } },
      { selector: "node[diff = 'added']", style: { "border-color": colours.green, "border-width": size / 6, "border-style": "solid" } },
      { selector: "node[diff = 'removed']", style: { "border-color": colours.vermillion, "border-width": size / 7, "border-style": "dashed", "background-opacity": 0.25 } },
      { selector: "node[diff = 'changed']", style: { "border-color": colours.orange, "border-width": size / 5, "border-style": "double" } },
      { selector: "edge[diff = 'added']", style: { width: 3.2, "line-color": colours.green, "target-arrow-color": colours.green, opacity: 1 } },
      { selector: "edge[diff = 'removed']", style: { width: 3.2, "line-color": colours.vermillion, "target-arrow-color": colours.vermillion, "line-style": "dashed", opacity: 0.9 } },
      { selector: ".dim", style: { opacity: 0.22 } },
      { selector: "edge.dim", style: { opacity: 0.1 } },
      { selector: "edge.on", style: { opacity: 1, width: many ? 6 : 3, "z-index": 5 } },
    ];
    (this.cy as any).style().fromJson(style).update();
    this.drawSoon();
  }

  /** In which order names find room: what was chosen, what is marked, what is critical, what has many edges. */
  private sort(): void {
    const { nodes, links, rest } = this.world;
    const roots = new Set(rest.roots);
    const near = new Set((links.get(this.chosen.selected ?? -1) ?? []).map((edge) => this.world.other(edge, this.chosen.selected!)));
    const rank = new Map<number, number>();
    for (const [key, row] of nodes) {
      rank.set(
        key,
        (key === this.chosen.selected ? 1e6 : 0) +
          (roots.has(key) ? 5e5 : 0) +
          (this.chosen.found.has(key) || this.chosen.selection.has(key) ? 2e5 : 0) +
          (this.marks.get(key)?.[0] === "hurt" ? 1e5 : this.marks.has(key) ? 8e4 : 0) +
          (row.diff ? 6e4 : 0) +
          (near.has(key) ? 4e4 : 0) +
          Number(row.criticality ?? 0) * 1e3 +
          Math.min(links.get(key)?.length ?? 0, 900),
      );
    }
    this.order = [...nodes.keys()].sort((a, b) => rank.get(b)! - rank.get(a)! || a - b);
  }

  private drawSoon(): void {
    if (!this.awaited)
      this.awaited = requestAnimationFrame(() => {
        this.awaited = 0;
        this.draw();
      });
  }

  /** Names, badges, rings and words over the graph. */
  private draw(): void {
    const [w, h, scale] = [this.place.clientWidth, this.place.clientHeight, devicePixelRatio || 1];
    if (this.over.width !== Math.round(w * scale) || this.over.height !== Math.round(h * scale)) {
      this.over.width = Math.round(w * scale);
      this.over.height = Math.round(h * scale);
    }
    const pen = this.over.getContext("2d");
    if (!pen || !this.begun) return;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, w, h);
    pen.direction = "ltr";
    const zoom = this.cy.zoom();
    const half = ((this.world.nodes.size > 1000 ? 46 : this.world.nodes.size > MANY ? 38 : 24) * zoom) / 2;
    this.shown = [];
    this.names = [];
    const inside: [number, cytoscape.Position][] = [];
    for (const key of this.order) {
      const { x, y } = this.cy.$id(`n${key}`).renderedPosition();
      if (x < -60 || y < -30 || x > w + 60 || y > h + 30) continue;
      inside.push([key, { x, y }]);
    }
    const marked = this.world.rest.marks !== null;
    if (inside.length <= 600)
      for (const [key, { x, y }] of inside)
        if (!marked || this.marks.has(key)) this.shown.push({ x: x - half, y: y - half, w: 2 * half, h: 2 * half });
    const most = half < 3 ? 40 : half < 6 ? 90 : NAMED; // more would hide what they name
    let named = 0;
    let tried = 0;
    for (const [key, { x, y }] of inside) {
      const row = this.world.nodes.get(key)!;
      this.rings(pen, key, x, y, half);
      const dim = marked && !this.marks.has(key);
      if (row.hidden && ((half > 6 && !dim) || key === this.chosen.selected)) this.badge(pen, `+${row.hidden}`, x + half * 0.8, y - half * 0.9);
      if (named < most && tried < 1500) {
        tried += 1;
        named += Number(this.name(pen, key, row, x, y, half));
      }
    }
  }

  private rings(pen: CanvasRenderingContext2D, key: number, x: number, y: number, half: number): void {
    const ring = (radius: number, colour: string, width: number, dash: number[] = []) => {
      pen.beginPath();
      pen.setLineDash(dash);
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.stroke();
      pen.setLineDash([]);
    };
    const mark = this.marks.get(key);
    if (mark?.[0] === "hurt") ring(half + 5, this.colours.alarm!, 2.5);
    else if (mark?.[0] === "spared") ring(half + 5, this.colours.green!, 2, [2, 3]);
    if (this.chosen.found.has(key)) ring(half + 4, this.colours.orange!, 2, [5, 3]);
    if (this.world.rest.roots.includes(key)) ring(half + 4, this.colours.blue!, 1.5);
    if (this.chosen.selection.has(key) && key !== this.chosen.selected) ring(half + 7, this.colours.accent!, 2, [6, 3]);
    if (key === this.chosen.selected) {
      ring(half + 8, this.colours.surface!, 5);
      ring(half + 8, this.colours.accent!, 3);
    }
  }

  private badge(pen: CanvasRenderingContext2D, text: string, x: number, y: number): void {
    pen.font = `600 10px ${FONT}`;
    const wide = pen.measureText(text).width + 8;
    pen.beginPath();
    pen.roundRect(x, y - 7, wide, 14, 7);
    pen.fillStyle = this.colours.panel!;
    pen.fill();
    pen.lineWidth = 1;
    pen.strokeStyle = this.colours.muted!;
    pen.stroke();
    pen.fillStyle = this.colours.ink!;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, x + wide / 2, y + 0.5);
    this.shown.push({ x, y: y - 7, w: wide, h: 14 });
  }

  /** The name of a node below or beside it, if there is room; that of what is chosen in any case. */
  private name(pen: CanvasRenderingContext2D, key: number, row: NodeRow, x: number, y: number, half: number): boolean {
    const mark = this.marks.get(key);
    const must = key === this.chosen.selected || this.world.rest.roots.includes(key) || (mark !== undefined && this.marks.size <= 30);
    const bold = key === this.chosen.selected || this.world.rest.roots.includes(key) || mark?.[0] === "hurt" ? 600 : 500;
    if (this.world.rest.marks && !mark && !must && !this.chosen.found.has(key)) return false;
    const words: [string, string][] = [];
    if (mark?.[1]) words.push([`${mark[0] === "hurt" ? "! " : ""}${mark[1]}`, mark[0] === "hurt" ? this.colours.alarm! : this.colours.muted!]);
    if (row.diff) words.push([`${{ added: "+", removed: "−", changed: "~" }[row.diff]} ${row.diff}`, this.colours.ink!]);
    const unwell = row.status && row.status !== "active" ? row.status : "";
    if (!words.length && this.cy.zoom() > 0.55) words.push([shortened([row.ci_subtype ?? row.ci_type, unwell].filter(Boolean).join(" · ").toLowerCase(), 34), this.colours.muted!]);
    else if (unwell && words.length < 2) words.push([unwell, this.colours.muted!]);
    pen.font = `${bold} 11.5px ${FONT}`;
    const text = shortened(row.label, must ? 44 : 26);
    const lines = words.filter(([word]) => word);
    let wide = pen.measureText(text).width;
    pen.font = `10px ${FONT}`;
    for (const [word] of lines) wide = Math.max(wide, pen.measureText(word).width);
    const tall = 13 + 11 * lines.length;
    const gap = half + (must ? 10 : 4);
    const spots: [number, number][] = [[x - wide / 2, y + gap], [x + gap, y - tall / 2], [x - wide / 2, y - gap - tall], [x - gap - wide, y - tall / 2]];
    const [wideFrame, tallFrame] = [this.place.clientWidth, this.place.clientHeight];
    const fitting = spots.filter(([left, top]) => left > 1 && top > 1 && left + wide < wideFrame - 1 && top + tall < tallFrame - 1);
    const free = (taken: Box[]) => fitting.find(([left, top]) => !taken.some((box) => isOver(box, { x: left, y: top, w: wide, h: tall })));
    // What must be named may lie on a node, rather than on another name.
    const spot = free(this.shown) ?? (must ? (free(this.names) ?? fitting[0] ?? spots[0]) : undefined);
    if (!spot) return false;
    const [left, top] = spot;
    const box = { x: left, y: top, w: wide, h: tall };
    this.shown.push(box);
    this.names.push(box);
    pen.globalAlpha = 0.82;
    pen.fillStyle = this.colours.surface!;
    pen.fillRect(left - 2, top - 1, wide + 4, tall + 1);
    pen.globalAlpha = 1;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    pen.font = `${bold} 11.5px ${FONT}`;
    pen.fillStyle = mark?.[0] === "hurt" ? this.colours.alarm! : this.colours.ink!;
    pen.fillText(text, left + wide / 2, top + 0.5);
    pen.font = `10px ${FONT}`;
    lines.forEach(([word, colour], i) => {
      pen.fillStyle = colour;
      pen.fillText(word, left + wide / 2, top + 13.5 + 11 * i);
    });
    return true;
  }
}

function isOver(one: Box, other: Box): boolean {
  return one.x < other.x + other.w && one.x + one.w > other.x && one.y < other.y + other.h && one.y + one.h > other.y;
}

/** A name with its middle left out: names of a kind differ at their ends. */
function shortened(text: string, most: number): string {
  const letters = [...text];
  if (letters.length <= most) return text;
  const tail = Math.floor((most - 1) * 0.45);
  return `${letters.slice(0, most - 1 - tail).join("")}…${letters.slice(-tail).join("")}`;
}
