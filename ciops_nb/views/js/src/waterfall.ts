import type { RenderProps } from "@anywidget/types";
import { element, isDark, onTheme } from "./host";

interface Row {
  id: string;
  up: string | null;
  level: number;
  kind: string;
  name: string;
  start: number;
  took: number;
  time: string;
  critical: boolean;
  marks: [string, string][];
  ghost: [number, number] | null;
  rows: number | null;
}

interface Rows {
  number: number;
  rows: Row[];
}

interface Head {
  title: string;
  words: string[];
  notes: string[];
  total: number;
  timed: boolean;
  problem: string;
}

interface Model {
  _rows: Rows;
  _changed: Rows;
  _head: Head;
  _details: { id?: string; items?: [string, string][] };
  selected: string | null;
}

/** A row that is not folded away, with what is folded below it. */
interface Line {
  row: Row;
  parent: number;
  place: number;
  siblings: number;
  inside: number;
  failed: number;
  open: boolean;
}

interface Axis {
  total: number;
  timed: boolean;
  width: number;
}

const WHOLE = 500; // so many rows are all in the page; of more, those in view
const MARGIN = 15; // rows above and below those in view
const NARROW = 640;
const DEEPEST = 12; // levels that are indented; deeper ones say their level

// ── the tree ────────────────────────────────────────────────────────────────────────────────────────────────────────

class Tree {
  readonly rows = new Map<string, Row>();
  private readonly below = new Map<string | null, Row[]>();
  private readonly inside = new Map<string, number>();
  private readonly failed = new Map<string, number>();

  constructor(all: Rows, changed: Rows) {
    for (const row of all.rows) this.rows.set(row.id, row);
    if (changed.number === all.number) for (const row of changed.rows) this.rows.set(row.id, row);
    const ordered = [...this.rows.values()].sort((a, b) => a.start - b.start || (a.id < b.id ? -1 : 1));
    for (const row of ordered) {
      const beside = this.below.get(row.up);
      if (beside) beside.push(row);
      else this.below.set(row.up, [row]);
    }
    for (const row of ordered.sort((a, b) => b.level - a.level)) {
      if (row.up === null) continue;
      const failed = row.marks.some(([kind]) => kind === "error") ? 1 : 0;
      this.inside.set(row.up, (this.inside.get(row.up) ?? 0) + (this.inside.get(row.id) ?? 0) + 1);
      this.failed.set(row.up, (this.failed.get(row.up) ?? 0) + (this.failed.get(row.id) ?? 0) + failed);
    }
  }

  lines(isOpen: (row: Row) => boolean): Line[] {
    const found: Line[] = [];
    const waiting: { rows: Row[]; next: number; parent: number }[] = [];
    const go = (id: string | null, parent: number) => {
      const rows = this.below.get(id);
      if (rows) waiting.push({ rows, next: 0, parent });
    };
    go(null, -1);
    for (let top = waiting.at(-1); top; top = waiting.at(-1)) {
      const row = top.rows[top.next++];
      if (!row) {
        waiting.pop();
        continue;
      }
      const open = this.below.has(row.id) && isOpen(row);
      found.push({
        row,
        parent: top.parent,
        place: top.next,
        siblings: top.rows.length,
        inside: this.inside.get(row.id) ?? 0,
        failed: this.failed.get(row.id) ?? 0,
        open,
      });
      if (open) go(row.id, found.length - 1);
    }
    return found;
  }
}

// ── signs and words ─────────────────────────────────────────────────────────────────────────────────────────────────

const SIGNS: Record<string, string> = {
  error: "M1 1L9 9M9 1L1 9",
  cancelled: "M5 1.2A3.8 3.8 0 1 0 5.01 1.2ZM2.4 7.6L7.6 2.4",
  running: "M2 1L9 5L2 9Z",
  fallback: "M1 1.5H5V6M2 5.5L5 9L8 5.5Z",
  cached: "M5 0.5L9.5 5L5 9.5L0.5 5Z",
  retries: "M8.6 6.4A4 4 0 1 1 8.2 2.6M8.8 0.4V3.4H5.8",
  truncated: "M1 1H9V6L7 4.6L5 6L3 4.6L1 6Z",
  other: "M1 1H9V6L7 4.6L5 6L3 4.6L1 6Z",
  critical: "M1 2H9V8H1Z",
  inside: "M1 1L9 9M9 1L1 9",
};

function sign(kind: string): SVGSVGElement {
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  drawn.setAttribute("viewBox", "0 0 10 10");
  drawn.setAttribute("class", `sign is-${kind}`);
  drawn.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SIGNS[kind] ?? SIGNS["other"] ?? "");
  drawn.append(path);
  return drawn;
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function states(line: Line): [string, string][] {
  const found = [...line.row.marks];
  if (line.row.critical) found.push(["critical", "critical"]);
  if (!line.open && line.failed) found.push(["inside", `${count(line.failed, "error")} inside`]);
  return found;
}

/** About how many pixels the words of *said* take beside each other, each with its sign. */
function broad(said: [string, string][]): number {
  return said.reduce((sum, [, words]) => sum + 24 + 6.6 * words.length, 0);
}

/** About how many pixels the words beside a bar take. */
function room(words: string): number {
  return 18 + 6.2 * words.length;
}

function spoken(line: Line): string {
  const { row } = line;
  const rows = row.rows === null ? [] : [count(row.rows, "row")];
  const said = states(line).map(([kind, words]) => (kind === "critical" ? "on the critical path" : words));
  return [row.kind === row.name ? row.name : `${row.kind} ${row.name}`, row.time, ...rows, ...said].filter(Boolean).join(", ");
}

/** Round moments, at most *most* steps apart. */
function steps(total: number, most: number): number {
  const rough = Math.max(total, 1) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
}

function moment(nanos: number): string {
  const short = (value: number) => Number(value.toPrecision(4)).toLocaleString("en");
  if (nanos < 1e9) return `${short(nanos / 1e6)} ms`;
  return nanos < 12e10 ? `${short(nanos / 1e9)} s` : `${short(nanos / 6e10)} min`;
}

// ── one row ─────────────────────────────────────────────────────────────────────────────────────────────────────────

class Drawn {
  readonly at = element("div", "row");
  private readonly name = element("div", "name");
  private readonly twist = element("span", "twist");
  private readonly label = element("span", "label");
  private readonly state = element("div", "state");
  private readonly cell = element("div", "time");
  private readonly plot = element("div", "plot");
  private readonly ghost = element("div", "ghost");
  private readonly bar = element("div", "bar");
  private readonly words = element("span", "words");
  private said = "";

  constructor(id: string) {
    this.at.dataset["id"] = id;
    this.at.setAttribute("role", "row");
    for (const cell of [this.name, this.state, this.cell]) cell.setAttribute("role", "gridcell");
    this.twist.setAttribute("aria-hidden", "true");
    this.name.append(this.twist, this.label);
    this.plot.append(this.ghost, this.bar, this.words);
    this.cell.append(this.plot);
    this.at.append(this.name, this.state, this.cell);
  }

  show(line: Line, index: number, axis: Axis, selected: boolean, active: boolean): void {
    const { timed, total } = axis;
    const { row } = line;
    const told = JSON.stringify([row, line, index, timed, selected, active]);
    if (told !== this.said) {
      this.said = told;
      this.tell(line, index, timed, selected, active);
    }
    if (!timed) return;
    const part = (nanos: number) => `${(100 * nanos) / Math.max(total, 1)}%`;
    this.bar.style.left = part(row.start);
    this.bar.style.width = part(row.took);
    if (row.ghost) {
      this.ghost.style.left = part(row.ghost[0]);
      this.ghost.style.width = part(row.ghost[1]);
    }
    const end = row.start + row.took;
    const [from, long] = row.ghost ?? [end, 0];
    // Between the bar and its ghost if they fit in there, else behind both.
    const between = ((from - end) * axis.width) / Math.max(total, 1) > room(row.time);
    this.words.style.left = part(between ? end : Math.max(end, from + long));
  }

  private tell(line: Line, index: number, timed: boolean, selected: boolean, active: boolean): void {
    const { row } = line;
    const set = (name: string, value: string | number | boolean | null) =>
      value === null ? this.at.removeAttribute(name) : this.at.setAttribute(name, String(value));
    set("aria-level", row.level);
    set("aria-posinset", line.place);
    set("aria-setsize", line.siblings);
    set("aria-rowindex", index + 2);
    set("aria-selected", selected);
    set("aria-expanded", line.inside ? line.open : null);
    set("aria-label", spoken(line));
    this.at.tabIndex = active ? 0 : -1;
    const said = states(line);
    const shape = row.marks[0]?.[0] ?? "plain";
    this.at.className = `row of-${row.kind} is-${shape}${row.critical ? " critical" : ""}`;
    this.name.style.paddingLeft = `${4 + 13 * (Math.min(row.level, DEEPEST) - 1)}px`;
    this.twist.className = `twist${line.inside ? (line.open ? " open" : " shut") : ""}`;
    const deep = row.level > DEEPEST ? `(level ${row.level}) ` : "";
    const folded = line.inside && !line.open ? ` +${line.inside.toLocaleString("en")}` : "";
    this.label.textContent = deep + row.name;
    if (folded) this.label.append(element("span", "folded", folded));
    this.name.title = row.name;
    this.state.replaceChildren(
      ...said.map(([kind, words]) => {
        const chip = element("span", "chip");
        chip.append(sign(kind), element("span", "", words));
        return chip;
      }),
    );
    this.state.title = said.map(([, words]) => words).join(", ");
    this.plot.hidden = !timed;
    this.ghost.hidden = row.ghost === null;
    this.words.textContent = row.time;
  }
}

// ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────

function render({ model, el }: RenderProps<Model>): () => void {
  const root = element("div", "ciops-waterfall");
  const title = element("div", "title");
  const notes = element("div", "notes");
  const problem = element("div", "problem");
  problem.setAttribute("role", "alert");
  const bar = element("div", "tools");
  const folded = element("span", "told");
  const unfold = element("button", "", "Unfold all");
  const fold = element("button", "", "Fold queries");
  const grid = element("div", "grid");
  const heads = element("div", "heads");
  const body = element("div", "body");
  const above = element("div");
  const below = element("div");
  const axis = element("div", "plot axis");
  const details = element("div", "details");
  const live = element("div", "unseen");
  live.setAttribute("role", "status");
  details.setAttribute("role", "region");
  details.setAttribute("aria-label", "The selected span");
  unfold.type = fold.type = "button";
  bar.append(folded, unfold, fold);
  const chosen = element("strong");
  const close = element("button", "", "Close");
  const list = element("dl");
  const over = element("div", "tools");
  close.type = "button";
  over.append(chosen, close);
  details.append(over, list);
  // JupyterLab takes keys before a page's own handlers do, unless it is asked not to.
  grid.setAttribute("data-lm-suppress-shortcuts", "true");
  grid.setAttribute("role", "treegrid");
  heads.setAttribute("role", "row");
  heads.setAttribute("aria-rowindex", "1");
  body.setAttribute("role", "rowgroup");
  for (const space of [above, below]) space.setAttribute("role", "presentation");
  for (const [name, text] of [["name", "Call"], ["state", "State"], ["time", ""]] as const) {
    const cell = element("div", name, text);
    cell.setAttribute("role", "columnheader");
    if (name === "time") {
      cell.setAttribute("aria-label", "Time");
      cell.append(axis);
    }
    heads.append(cell);
  }
  body.append(above, below);
  grid.append(heads, body);
  root.append(title, notes, problem, bar, grid, live, details);
  el.append(root);

  let tree: Tree | undefined;
  let lines: Line[] = [];
  let active = "";
  let height = 26;
  let said: string | null = null;
  let due = 0;
  const opened = new Map<string, boolean>();
  const drawn = new Map<string, Drawn>();
  const isOpen = (row: Row) => opened.get(row.id) ?? row.kind !== "tool";
  const at = (id: string) => lines.findIndex((line) => line.row.id === id);

  function soon(): void {
    if (!due) due = requestAnimationFrame(show);
  }

  function read(): void {
    tree = undefined;
    soon();
  }

  function show(): void {
    due = 0;
    const head = model.get("_head");
    const narrow = root.clientWidth < NARROW;
    root.classList.toggle("narrow", narrow);
    height = narrow ? 44 : 26;
    title.replaceChildren(element("strong", "", head.title), ` ${head.words.join(", ")}`);
    notes.replaceChildren(...head.notes.map((note) => element("div", "", note)));
    problem.textContent = head.problem;
    tree ??= new Tree(model.get("_rows"), model.get("_changed"));
    lines = tree.lines(isOpen);
    if (at(active) < 0) active = lines[0]?.row.id ?? "";
    const hidden = tree.rows.size - lines.length;
    folded.textContent = hidden ? `${count(hidden, "span")} folded` : "";
    folded.hidden = unfold.hidden = !hidden;
    fold.hidden = !lines.some((line) => line.row.kind === "tool" && line.open);
    bar.hidden = unfold.hidden && fold.hidden;
    grid.hidden = !lines.length;
    grid.setAttribute("aria-label", `Spans of ${head.title}`);
    grid.setAttribute("aria-rowcount", String(lines.length + 1));
    const longest = lines.reduce((most, { row }) => Math.max(most, room(row.time)), 0);
    root.style.setProperty("--words", `${longest}px`);
    const widest = lines.reduce((most, line) => Math.max(most, broad(states(line))), 0);
    root.style.setProperty("--states", `${Math.max(60, widest)}px`);
    root.classList.toggle("untimed", !head.timed);
    place();
    ruler(head.total, head.timed);
    select(tree);
  }

  /** Puts the rows that are in view into the page; all, if they are not too many. */
  function place(): void {
    const { total, timed } = model.get("_head");
    const width = axis.clientWidth;
    const selected = model.get("selected");
    let first = 0;
    let last = lines.length;
    if (lines.length > WHOLE) {
      first = Math.max(0, Math.floor(grid.scrollTop / height) - MARGIN);
      last = Math.min(lines.length, Math.ceil((grid.scrollTop + grid.clientHeight) / height) + MARGIN);
    }
    const wanted = lines.slice(first, last);
    const ids = new Set(wanted.map((line) => line.row.id));
    for (const [id, row] of drawn) {
      if (ids.has(id)) continue;
      // The keys go on to work when the row that has the focus is scrolled away.
      if (row.at === document.activeElement) grid.focus({ preventScroll: true });
      row.at.remove();
      drawn.delete(id);
    }
    let before: Element = above;
    wanted.forEach((line, offset) => {
      const { id } = line.row;
      const row = drawn.get(id) ?? new Drawn(id);
      drawn.set(id, row);
      row.show(line, first + offset, { total, timed, width }, id === selected, id === active);
      if (before.nextElementSibling !== row.at) before.after(row.at);
      before = row.at;
    });
    above.style.height = `${first * height}px`;
    below.style.height = `${(lines.length - last) * height}px`;
    grid.tabIndex = drawn.has(active) ? -1 : 0;
  }

  function ruler(total: number, timed: boolean): void {
    axis.replaceChildren();
    if (!timed || !total) return;
    const step = steps(total, axis.clientWidth / 64);
    for (let now = 0; now <= total; now += step) {
      const tick = element("span", now ? "tick" : "tick first", moment(now));
      tick.style.left = `${(100 * now) / total}%`;
      axis.append(tick);
    }
    root.style.setProperty("--step", `${(100 * step) / total}%`);
  }

  function select(tree: Tree): void {
    const id = model.get("selected");
    const row = id === null ? undefined : tree.rows.get(id);
    const told = model.get("_details");
    const text = row ? `Selected: ${spoken({ row, parent: -1, place: 0, siblings: 0, inside: 0, failed: 0, open: true })}` : "";
    if (said !== id) {
      said = id;
      live.textContent = text;
    }
    details.hidden = id === null;
    if (id === null) return;
    const items = told.id === id && told.items ? told.items : [["", "Asking the kernel …"] as [string, string]];
    chosen.textContent = row?.name ?? "";
    const listed = JSON.stringify(items);
    if (listed === list.dataset["listed"]) return; // what a reader has marked in it stays marked
    list.dataset["listed"] = listed;
    list.replaceChildren();
    for (const [name, value] of items) {
      list.append(element("dt", "", name), element("dd", name === "error" ? "error" : "", value));
    }
  }

  function choose(id: string | null): void {
    model.set("selected", id);
    model.save_changes();
  }

  function walk(index: number): void {
    const line = lines[Math.max(0, Math.min(lines.length - 1, index))];
    if (!line) return;
    active = line.row.id;
    const top = at(active) * height;
    const room = grid.clientHeight - heads.offsetHeight;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + height > grid.scrollTop + room) grid.scrollTop = top + height - room;
    place();
    drawn.get(active)?.at.focus({ preventScroll: true });
    drawn.get(active)?.at.scrollIntoView({ block: "nearest" });
  }

  function turn(row: Row, open: boolean): void {
    opened.set(row.id, open);
    show();
  }

  grid.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target === null) return;
    const index = at(active);
    const line = lines[index];
    if (!line) return;
    const page = Math.max(1, Math.floor(grid.clientHeight / height) - 2);
    const keys: Record<string, () => void> = {
      ArrowDown: () => walk(index + 1),
      ArrowUp: () => walk(index - 1),
      PageDown: () => walk(index + page),
      PageUp: () => walk(index - page),
      Home: () => walk(0),
      End: () => walk(lines.length - 1),
      ArrowRight: () => (line.inside && !line.open ? turn(line.row, true) : line.inside ? walk(index + 1) : undefined),
      ArrowLeft: () => (line.open ? turn(line.row, false) : line.parent >= 0 ? walk(line.parent) : undefined),
      Enter: () => choose(line.row.id),
      " ": () => choose(line.row.id),
      Escape: () => choose(null),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });
  grid.addEventListener("click", (event) => {
    const target = event.target as Element;
    const id = target.closest<HTMLElement>(".row")?.dataset["id"];
    const line = id === undefined ? undefined : lines[at(id)];
    if (!line) return;
    walk(at(line.row.id));
    if (target.closest(".twist") && line.inside) turn(line.row, !line.open);
    else choose(line.row.id);
  });
  grid.addEventListener("focusin", (event) => {
    const id = (event.target as Element).closest<HTMLElement>(".row")?.dataset["id"];
    if (id === undefined || id === active) return;
    active = id;
    place();
  });
  grid.addEventListener("scroll", () => lines.length > WHOLE && place());
  close.addEventListener("click", () => {
    choose(null);
    drawn.get(active)?.at.focus();
  });
  unfold.addEventListener("click", () => {
    for (const row of tree?.rows.values() ?? []) opened.set(row.id, true);
    show();
    fold.focus();
  });
  fold.addEventListener("click", () => {
    for (const row of tree?.rows.values() ?? []) if (row.kind === "tool") opened.set(row.id, false);
    show();
    unfold.focus();
  });

  const theme = () => root.classList.toggle("dark", isDark(el));
  // A host may put it into the page after this, and only then is there a ground that is dark or not.
  const size = new ResizeObserver(() => {
    theme();
    soon();
  });
  const ends = onTheme(theme);
  size.observe(root);
  model.on("change:_rows", read);
  model.on("change:_changed", read);
  model.on("change:_head", soon);
  model.on("change:_details", soon);
  model.on("change:selected", soon);
  read();
  return () => {
    ends();
    size.disconnect();
    cancelAnimationFrame(due);
    model.off("change:_rows", read);
    model.off("change:_changed", read);
    for (const name of ["_head", "_details", "selected"] as const) model.off(`change:${name}`, soon);
    root.remove();
  };
}

export default { render };
