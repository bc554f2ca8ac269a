// The explorer of topology: a graph to walk in, by mouse, by keyboard, or as a list. Python computes; this shows and asks.
import type { RenderProps } from "@anywidget/types";
import { Canvas, type Colours } from "./explorer/canvas";
import { outlineSample, relationSample, typeSample } from "./explorer/shapes";
import { type Model, type NodeRow, type Relation, type Trait, World, relations, spoken } from "./explorer/world";
import { element, isDark, onTheme } from "./host";

const PAGE = 200; // rows of the list at a time
const worlds = new WeakMap<object, World>();
let views = 0;

// The third says what takes Python to answer.
const KEYS: [string, string, "asks"?][] = [
  ["arrow keys", "to the neighbour in that direction; with Shift to the nearest item there"],
  ["Enter, e", "expand: show the neighbours that are hidden", "asks"],
  ["c", "collapse: hide what came through the selected item", "asks"],
  ["u, d", "what it needs (upstream), what it hurts (downstream)"],
  ["i", "who is hurt if it fails", "asks"],
  ["p", "the ways between the two selected last (Shift and click, or Shift and Space, select more)"],
  ["x", "clear what is marked"],
  ["/", "search; Enter goes to the next match"],
  ["l", "list or graph"],
  ["t", "time", "asks"],
  ["[, ]", "to the moment before, after", "asks"],
  ["f, +, −", "fit, closer, farther (also Ctrl and the wheel)"],
  ["Esc", "select nothing"],
  ["?", "these keys"],
];

const COLUMNS: [string, (row: NodeRow) => string | number | undefined][] = [
  ["code", (row) => row.label],
  ["name", (row) => row.ci_name],
  ["type", (row) => [row.ci_type, row.ci_subtype].filter(Boolean).join(" · ")],
  ["status", (row) => row.status],
  ["hops", (row) => row.hops],
  ["hidden neighbours", (row) => row.hidden ?? 0],
];

const FIELDS: [string, keyof NodeRow][] = [
  ["name", "ci_name"],
  ["type", "ci_type"],
  ["subtype", "ci_subtype"],
  ["status", "status"],
  ["criticality", "criticality"],
  ["hops", "hops"],
  ["id", "ci_id"],
  ["changed", "changed"],
];

class View {
  private readonly root = element("div", "ciops-x");
  private readonly canvas: Canvas;
  private readonly stage = element("div", "ciops-x-stage");
  private readonly bed = element("div", "ciops-x-canvas");
  private readonly list = element("div", "ciops-x-list");
  private readonly side = element("section", "ciops-x-side");
  private readonly legend = element("div", "ciops-x-legend");
  private readonly status = element("div", "ciops-x-status");
  private readonly banner = element("div", "ciops-x-banner");
  private readonly alarm = element("div", "ciops-x-error");
  private readonly live = element("div", "ciops-x-aside");
  private readonly keys = element("div", "ciops-x-keys");
  private readonly timeRow = element("div", "ciops-x-time");
  private readonly search = element("input", "ciops-x-search");
  private readonly matches = element("span", "ciops-x-matches");
  private readonly buttons: Record<string, HTMLButtonElement> = {};
  private readonly endings: (() => void)[] = [];
  private colours: Colours = {};
  private found: number[] = [];
  private page = 0;
  private sorted: { column: number; down: boolean } = { column: 4, down: false };
  private sliding: number | null = null;

  constructor(
    private readonly model: Model,
    private readonly world: World,
    private readonly el: HTMLElement,
    private readonly id: string,
  ) {
    const { root } = this;
    root.setAttribute("data-lm-suppress-shortcuts", "true"); // else d, d deletes the cell in JupyterLab
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `Topology around ${world.rest.told.name}`);
    el.append(root);
    this.build();
    this.canvas = new Canvas(this.bed, world, {
      tap: (node, add) => {
        this.bed.focus({ preventScroll: true }); // so that keys go on from here
        this.select(node, add);
      },
      open: (node) => this.ask("expand", node),
      nowhere: () => this.bed.focus({ preventScroll: true }),
      seen: () => this.recolour(), // a host may put it into its page only now
    });
    this.recolour();
    this.endings.push(
      world.onChange((change) => {
        this.canvas.change(change);
        this.refresh();
      }),
      onTheme(() => this.recolour()),
    );
    this.on("selected", () => this.refreshChosen());
    this.on("selection", () => this.refreshChosen());
    this.on("busy", () => this.refreshBusy());
    this.on("error", () => this.refreshBusy());
    this.on("as_of", () => this.drawTime());
    this.on("compare_to", () => this.drawTime());
    this.on("theme", () => this.recolour());
    this.refresh();
  }

  end(): void {
    for (const ending of this.endings) ending();
    this.canvas.end();
  }

  private get alone(): boolean {
    return this.world.rest.alone === true;
  }

  private on(name: keyof Trait & string, act: () => void): void {
    this.model.on(`change:${name}` as any, act);
    this.endings.push(() => this.model.off(`change:${name}` as any, act));
  }

  // What is on the page

  private build(): void {
    const { root } = this;
    const bar = element("div", "ciops-x-bar");
    bar.setAttribute("role", "toolbar");
    bar.setAttribute("aria-label", "Explorer");
    this.search.type = "search";
    this.search.placeholder = "Search code, name, type";
    this.search.setAttribute("aria-label", "Search what is shown by code, name or type; Enter goes to the next match");
    this.search.addEventListener("input", () => this.find());
    this.search.addEventListener("keydown", (event) => this.searchKey(event));
    this.matches.setAttribute("role", "status");
    bar.append(group(this.search, this.matches));
    bar.append(
      group(
        ...this.asking("expand", "Expand", "Show the neighbours that are hidden (e)", () => this.ask("expand")),
        ...this.asking("collapse", "Collapse", "Hide what came through the selected item (c)", () => this.ask("collapse")),
      ),
      group(
        this.button("upstream", "Needs", "Mark what the selected item needs: upstream (u)", () => this.mark("upstream"), true),
        this.button("downstream", "Hurts", "Mark what needs the selected item: downstream (d)", () => this.mark("downstream"), true),
        ...this.asking("impact", "Impact", "Mark who is hurt if the selected item fails; redundant groups are heeded (i)", () => this.mark("impact"), true),
        this.button("path", "Path", "Mark the ways between the two items selected last (p)", () => this.mark("path"), true),
        this.button("clear", "Clear", "Clear what is marked (x)", () => this.mark("")),
      ),
      group(
        this.button("list", "List", "The same items as a table (l)", () => this.toggleList(), true),
        ...(this.world.rest.time ? [this.button("time", "Time", "How it was at another moment (t)", () => this.toggleTime(), true)] : []),
      ),
      group(
        this.button("fit", "Fit", "Show all (f)", () => this.canvas.fit()),
        this.button("closer", "+", "Closer (+)", () => this.canvas.zoom(1.35)),
        this.button("farther", "−", "Farther (−)", () => this.canvas.zoom(1 / 1.35)),
        ...this.asking("tidy", "Tidy", "Lay out anew what is shown", () => this.model.send({ kind: "tidy" })),
        this.button("help", "?", "Keys (?)", () => this.toggleKeys(), true),
      ),
    );
    this.buttons.closer!.setAttribute("aria-label", "Closer");
    this.buttons.farther!.setAttribute("aria-label", "Farther");
    this.buttons.help!.setAttribute("aria-label", "Keys");
    this.timeRow.hidden = this.keys.hidden = this.list.hidden = true;
    this.keys.id = `${this.id}-keys`;
    this.keys.append(keysTable(this.alone));
    this.alarm.setAttribute("role", "alert");
    this.status.setAttribute("role", "status");
    this.live.setAttribute("aria-live", "polite");
    this.banner.setAttribute("role", "status");
    this.bed.tabIndex = 0;
    this.bed.setAttribute("role", "application");
    this.bed.setAttribute("aria-roledescription", "graph");
    const head = element("div", "ciops-x-head");
    head.append(element("span", "", "◀ what is needed"), element("span", "", "what is hurt when it fails ▶"));
    const framed = element("div", "ciops-x-frame");
    framed.append(head, this.bed, this.banner);
    this.side.setAttribute("aria-label", "Details");
    this.stage.append(framed, this.list, this.side);
    this.legend.setAttribute("role", "list");
    this.legend.setAttribute("aria-label", "Legend");
    root.append(bar, this.keys, this.alarm, this.timeRow, this.stage, this.status, this.legend, this.live);
    root.addEventListener("keydown", (event) => this.key(event));
  }

  /** A button that takes Python to answer; none where there is no Python. */
  private asking(...given: Parameters<View["button"]>): HTMLButtonElement[] {
    return this.alone ? [] : [this.button(...given)];
  }

  private button(name: string, text: string, title: string, act: () => void, toggles = false): HTMLButtonElement {
    const made = element("button", "ciops-x-button", text);
    made.type = "button";
    made.title = title;
    if (toggles) made.setAttribute("aria-pressed", "false");
    made.addEventListener("click", act);
    this.buttons[name] = made;
    return made;
  }

  private recolour(): void {
    const theme = this.model.get("theme") ?? (isDark(this.el) ? "dark" : "light");
    const roles = this.world.rest.look.themes[theme];
    this.root.dataset.theme = theme;
    this.root.dataset.forced = String(this.model.get("theme") !== null);
    for (const [role, colour] of Object.entries(roles)) this.root.style.setProperty(`--own-${role.replace(/_/g, "-")}`, colour);
    const colours: Colours = { ...roles, ...hostColours(this.root) };
    if (JSON.stringify(colours) === JSON.stringify(this.colours)) return;
    this.colours = colours;
    this.canvas.restyle(colours);
    this.drawLegend(colours);
  }

  private refresh(): void {
    const { told, marks } = this.world.rest;
    const size = this.world.nodes.size;
    this.bed.setAttribute(
      "aria-label",
      `Graph of ${size} configuration items around ${told.name}. Arrow keys walk from item to item, question mark shows the keys; the list holds the same items as a table.`,
    );
    this.status.replaceChildren();
    this.status.append(element("strong", "", `${told.shown.toLocaleString("en")} of ${told.total} shown`));
    const about = [
      `view ${told.view}`,
      this.world.rest.time ? `as of ${this.world.rest.time.at}` : "",
      told.frontier ? `${told.frontier} with hidden neighbours (+n)` : "no hidden neighbours",
      told.compared,
      ...told.notes,
    ];
    this.status.append(element("span", "", about.filter(Boolean).join(" · ")));
    this.banner.textContent = marks?.title ?? "";
    this.banner.hidden = !marks;
    for (const kind of ["upstream", "downstream", "impact", "path"]) this.buttons[kind]?.setAttribute("aria-pressed", String(marks?.kind === kind));
    this.drawLegend(this.colours);
    this.drawTime();
    if (this.search.value) this.find();
    this.refreshChosen();
    this.refreshBusy();
  }

  private refreshBusy(): void {
    const busy = this.model.get("busy");
    this.root.setAttribute("aria-busy", String(busy));
    this.root.classList.toggle("ciops-x-busy", busy);
    const error = this.model.get("error");
    this.alarm.replaceChildren();
    this.alarm.hidden = !error;
    if (!error) return;
    const close = element("button", "ciops-x-button", "Dismiss");
    close.type = "button";
    close.addEventListener("click", () => this.model.send({ kind: "dismiss" }));
    this.alarm.append(element("span", "", error), close);
  }

  private drawLegend(colours: Colours): void {
    const { look, marks } = this.world.rest;
    const ink = colours.ink ?? "currentColor";
    const items: [Element, string][] = [
      ...Object.entries(look.types).map(([name, [marker, role]]): [Element, string] => [typeSample(marker, colours[role] ?? ink, ink), name]),
      ...Object.entries(look.relations).map(([name, [role, dash, arrow]]): [Element, string] => [
        relationSample(colours[role] ?? ink, look.dashes[dash]!, arrow),
        name,
      ]),
      [outlineSample(colours.blue ?? ink, "none", "none"), "focus"],
      [outlineSample(ink, "none", colours.panel ?? "none"), "thick: criticality 4 or 5"],
    ];
    if ([...this.world.nodes.values()].some((row) => row.status && row.status !== "active"))
      items.push([outlineSample(ink, "none", "none", true), "double: not active"]);
    const roles = new Set(marks?.nodes.map(([, role]) => role));
    if (roles.has("hurt")) items.push([outlineSample(colours.alarm ?? ink, "none", "none"), "hurt (!)"]);
    if (roles.has("spared")) items.push([outlineSample(colours.green ?? ink, "2 3", "none"), "goes on: enough is left"]);
    if (this.world.rest.told.compared) {
      items.push([outlineSample(colours.green ?? ink, "none", "none"), "+ added"]);
      items.push([outlineSample(colours.vermillion ?? ink, "4 2", "none"), "− removed"]);
      items.push([outlineSample(colours.orange ?? ink, "none", "none", true), "~ changed"]);
    }
    this.legend.replaceChildren(
      ...items.map(([sample, text]) => {
        const item = element("span", "ciops-x-item");
        item.setAttribute("role", "listitem");
        item.append(sample, element("span", "", text));
        return item;
      }),
    );
  }

  // Selecting

  private get selected(): number | null {
    const code = this.model.get("selected");
    return code === null ? null : (this.world.numbers.get(code) ?? null);
  }

  private select(node: number | null, add = false): void {
    const code = node === null ? null : this.world.nodes.get(node)!.code;
    const before = this.model.get("selection");
    const after = code === null ? [] : add ? [...before.filter((one) => one !== code), code] : [code];
    if (add && code !== null && before.at(-1) === code) after.pop(); // a second time takes it out
    this.model.set("selection", after);
    this.model.set("selected", add ? (after.at(-1) ?? null) : code);
    this.model.save_changes();
  }

  private refreshChosen(): void {
    const { selected } = this;
    const selection = new Set(this.model.get("selection").map((code) => this.world.numbers.get(code) ?? -1));
    this.canvas.choose({ selected, selection, found: new Set(this.search.value ? this.found : []) });
    const none = selected === null;
    const row = none ? undefined : this.world.nodes.get(selected);
    const off = {
      expand: !row?.hidden, collapse: !row?.opened, upstream: none, downstream: none, impact: none,
      path: selection.size < 2, clear: !this.world.rest.marks,
    };
    for (const [name, is] of Object.entries(off)) if (this.buttons[name]) this.buttons[name].disabled = is;
    const words = none ? "Nothing selected" : spoken(this.world, selected);
    if (this.live.textContent !== words) this.live.textContent = words;
    if (!none) this.canvas.reveal(selected);
    this.drawSide();
    if (!this.list.hidden) this.drawList();
  }

  private drawSide(): void {
    const { selected } = this;
    const row = selected === null ? undefined : this.world.nodes.get(selected);
    if (selected === null || !row) {
      const { told } = this.world.rest;
      const kinds = new Map<string, number>();
      for (const one of this.world.nodes.values()) kinds.set(one.ci_type ?? "?", (kinds.get(one.ci_type ?? "?") ?? 0) + 1);
      const facts = [...kinds].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]): [string, string] => [name, String(count)]);
      this.side.replaceChildren(
        element("h3", "", told.name),
        element("p", "ciops-x-hint", `Click an item, or walk with the arrow keys.${this.alone ? "" : " Double click expands."}`),
        pairs([["shown", String(told.shown)], ["relations", String(this.world.edges.size)], ...facts]),
      );
      return;
    }
    const facts = FIELDS.filter(([, name]) => row[name] !== undefined).map(([text, name]): [string, string] => [text, String(row[name])]);
    const found = relations(this.world, selected);
    const parts: Element[] = [element("h3", "", row.label)];
    const mark = this.world.rest.marks?.nodes.find(([key]) => key === selected);
    if (mark?.[2]) parts.push(element("p", mark[1] === "hurt" ? "ciops-x-hurt" : "ciops-x-hint", mark[2]));
    if (row.diff) parts.push(element("p", "ciops-x-hint", row.diff));
    parts.push(pairs([...facts, ...(this.world.details.get(row.code) ?? [])]));
    if (row.hidden && this.alone) {
      parts.push(element("p", "ciops-x-hint", `${row.hidden.toLocaleString("en")} more ${row.hidden === 1 ? "neighbour is" : "neighbours are"} not in this picture.`));
    } else if (row.hidden) {
      const more = element("button", "ciops-x-button", `Expand: +${row.hidden} hidden`);
      more.type = "button";
      more.addEventListener("click", () => this.ask("expand", selected));
      parts.push(more);
    }
    for (const [name, title] of [["needs", "Needs"], ["needed", "Needed by"], ["beside", "Connected"]] as const)
      if (found[name].length) parts.push(...this.relationList(`${title} (${found[name].length})`, found[name]));
    this.side.replaceChildren(...parts);
  }

  private relationList(title: string, found: Relation[]): Element[] {
    const list = element("ul");
    for (const relation of found.slice(0, PAGE)) {
      const item = element("li");
      const link = element("button", "ciops-x-link", this.world.nodes.get(relation.other)!.label);
      link.type = "button";
      link.addEventListener("click", () => this.select(relation.other));
      item.append(link, element("span", "ciops-x-hint", ` ${[relation.type, relation.redundant].filter(Boolean).join(", ")}`));
      list.append(item);
    }
    if (found.length > PAGE) list.append(element("li", "ciops-x-hint", `and ${found.length - PAGE} more`));
    return [element("h4", "", title), list];
  }

  // The list

  private toggleList(): void {
    this.list.hidden = !this.list.hidden;
    this.stage.classList.toggle("ciops-x-listing", !this.list.hidden);
    this.buttons.list!.setAttribute("aria-pressed", String(!this.list.hidden));
    if (!this.list.hidden) {
      const at = this.rows().findIndex(([key]) => key === this.selected);
      this.page = Math.max(0, Math.floor(at / PAGE));
      this.drawList();
      this.list.querySelector<HTMLElement>("tr[aria-current] button, tbody button")?.focus();
    } else this.bed.focus();
  }

  private rows(): [number, NodeRow][] {
    const value = COLUMNS[this.sorted.column]![1];
    const way = this.sorted.down ? -1 : 1;
    const hit = new Set(this.found);
    const all = [...this.world.nodes].filter(([key]) => !this.search.value || hit.has(key));
    return all.sort(([, a], [, b]) => {
      const [one, other] = [value(a), value(b)];
      if (one === undefined || other === undefined) return one === other ? (a.label < b.label ? -1 : 1) : one === undefined ? 1 : -1;
      return (one < other ? -way : one > other ? way : 0) || (a.label < b.label ? -1 : a.label > b.label ? 1 : 0);
    });
  }

  private drawList(): void {
    const focused = document.activeElement;
    const held = focused instanceof HTMLElement && this.list.contains(focused) ? focused.dataset.key : undefined;
    const rows = this.rows();
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    this.page = Math.min(this.page, pages - 1);
    const table = element("table");
    const first = this.page * PAGE;
    const shown = rows.slice(first, first + PAGE);
    table.append(element("caption", "ciops-x-aside", `Configuration items around ${this.world.rest.told.name}`));
    const head = table.createTHead().insertRow();
    COLUMNS.forEach(([name], column) => {
      const cell = element("th");
      cell.scope = "col";
      if (column === this.sorted.column) cell.setAttribute("aria-sort", this.sorted.down ? "descending" : "ascending");
      const sort = element("button", "ciops-x-link", `${name}${column === this.sorted.column ? (this.sorted.down ? " ▾" : " ▴") : ""}`);
      sort.type = "button";
      sort.dataset.key = `sort ${column}`;
      sort.addEventListener("click", () => {
        this.sorted = { column, down: column === this.sorted.column && !this.sorted.down };
        this.page = 0;
        this.drawList();
      });
      cell.append(sort);
      head.append(cell);
    });
    const body = table.createTBody();
    const marks = new Map(this.world.rest.marks?.nodes.map(([key, role, word]) => [key, [role, word]]));
    for (const [key, row] of shown) {
      const line = body.insertRow();
      if (key === this.selected) line.setAttribute("aria-current", "true");
      line.addEventListener("click", (event) => this.select(key, event.shiftKey));
      COLUMNS.forEach(([, value], column) => {
        const cell = column ? line.insertCell() : element("th");
        if (column) {
          cell.textContent = String(value(row) ?? "");
          if (column > 3) cell.className = "ciops-x-number";
          return;
        }
        (cell as HTMLTableCellElement).scope = "row";
        const pick = element("button", "ciops-x-link", row.label);
        pick.type = "button";
        pick.dataset.key = `row ${key}`;
        if (key !== (this.selected ?? shown[0]![0])) pick.tabIndex = -1; // one stop of Tab; arrow keys walk
        cell.append(pick);
        const note = [row.diff, marks.get(key)?.[1]].filter(Boolean).join(", ");
        if (note) cell.append(element("span", marks.get(key)?.[0] === "hurt" ? "ciops-x-hurt" : "ciops-x-hint", ` ${note}`));
        line.append(cell);
      });
    }
    if (body.rows.length && !body.querySelector("button:not([tabindex])")) body.querySelector("button")!.removeAttribute("tabindex");
    const foot = element("div", "ciops-x-pages");
    const turn = (text: string, by: number, off: boolean) => {
      const made = element("button", "ciops-x-button", text);
      made.type = "button";
      made.disabled = off;
      made.dataset.key = text;
      made.addEventListener("click", () => {
        this.page += by;
        this.drawList();
      });
      return made;
    };
    const told = rows.length ? `${first + 1} to ${first + shown.length} of ${rows.length}` : "No item matches";
    foot.append(element("span", "", told));
    if (pages > 1) foot.append(turn("Previous", -1, this.page === 0), turn("Next", 1, this.page === pages - 1));
    const scroll = this.list.querySelector(".ciops-x-rows")?.scrollTop ?? 0;
    const frame = element("div", "ciops-x-rows");
    frame.tabIndex = -1;
    frame.append(table);
    this.list.replaceChildren(frame, foot);
    frame.scrollTop = scroll;
    if (held !== undefined) this.list.querySelector<HTMLElement>(`[data-key="${held}"]`)?.focus({ preventScroll: true });
  }

  private walkList(event: KeyboardEvent): void {
    const buttons = [...this.list.querySelectorAll<HTMLButtonElement>("tbody button")];
    const here = buttons.indexOf(document.activeElement as HTMLButtonElement);
    if (here < 0) return;
    const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: buttons.length - 1 }[event.key];
    const to = next === undefined ? undefined : buttons[next];
    if (!to) return;
    event.preventDefault();
    for (const one of buttons) one.tabIndex = one === to ? 0 : -1;
    to.focus();
  }

  // Searching

  private find(): void {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.found = words.length
      ? [...this.world.nodes]
          .filter(([, row]) => {
            const text = [row.label, row.ci_name, row.ci_type, row.ci_subtype].join(" ").toLowerCase();
            return words.every((word) => text.includes(word));
          })
          .sort(([, a], [, b]) => (a.hops ?? 1e9) - (b.hops ?? 1e9) || (a.label < b.label ? -1 : 1))
          .map(([key]) => key)
      : [];
    this.matches.textContent = words.length ? `${this.found.length} of ${this.world.nodes.size} shown` : "";
    this.page = 0;
    this.canvas.choose({ selected: this.selected, selection: new Set(this.model.get("selection").map((code) => this.world.numbers.get(code) ?? -1)), found: new Set(this.found) });
    if (!this.list.hidden) this.drawList();
  }

  private searchKey(event: KeyboardEvent): void {
    if (event.key === "Enter" && this.found.length) {
      const here = this.selected === null ? -1 : this.found.indexOf(this.selected);
      const next = (here + (event.shiftKey ? -1 : 1) + this.found.length) % this.found.length;
      this.select(this.found[next]!);
    } else if (event.key === "Escape") {
      this.search.value = "";
      this.find();
      this.bed.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Time

  private toggleTime(): void {
    if (!this.buttons.time) return;
    this.timeRow.hidden = !this.timeRow.hidden;
    this.buttons.time.setAttribute("aria-pressed", String(!this.timeRow.hidden));
    if (!this.timeRow.hidden) this.model.send({ kind: "moments" });
    this.drawTime();
  }

  private place(): number {
    const moments = this.world.moments ?? [];
    const at = this.model.get("as_of");
    if (at === null) return moments.length;
    const instant = Date.parse(at);
    let place = -1;
    moments.forEach((moment, i) => (place = Date.parse(moment.at) <= instant ? i : place));
    return Math.max(place, 0);
  }

  private drawTime(): void {
    const { time } = this.world.rest;
    if (this.timeRow.hidden || !time) return;
    const held = this.timeRow.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.key : undefined;
    const moments = this.world.moments;
    if (!moments) return this.timeRow.replaceChildren(element("span", "ciops-x-hint", "Asking when something changed…"));
    const slider = element("input");
    slider.type = "range";
    slider.min = "0";
    slider.max = String(moments.length);
    slider.dataset.key = "slider";
    slider.value = String(this.sliding ?? this.place());
    slider.setAttribute("aria-label", `Moment to look at, ${time.zone}; ${moments.length} moments at which something changed, then now`);
    const label = element("span", "ciops-x-moment");
    const tell = () => {
      const moment = moments[Number(slider.value)];
      const text = moment ? `${moment.text} · ${moment.what}` : "now";
      label.textContent = text;
      slider.setAttribute("aria-valuetext", text);
    };
    tell();
    slider.addEventListener("input", tell);
    slider.addEventListener("change", () => this.go(Number(slider.value)));
    const small = (key: string, text: string, title: string, act: () => void, off = false) => {
      const made = element("button", "ciops-x-button", text);
      made.type = "button";
      made.title = title;
      made.disabled = off;
      made.dataset.key = key;
      if (text.length === 1) made.setAttribute("aria-label", title);
      made.addEventListener("click", act);
      return made;
    };
    const comparing = this.model.get("compare_to");
    this.timeRow.replaceChildren(
      small("before", "◀", "The moment before ([)", () => this.step(-1), this.place() === 0),
      slider,
      small("after", "▶", "The moment after (])", () => this.step(1), this.place() === moments.length),
      label,
      small("now", "Now", "Back to now", () => this.go(moments.length), this.model.get("as_of") === null),
      comparing === null
        ? small("compare", "Compare from here", "Keep this moment, and show what came, went and changed up to the one you go to", () =>
            this.set("compare_to", this.model.get("as_of") ?? moments.at(-1)?.at ?? null))
        : small("compare", "Stop comparing", "Show one moment only", () => this.set("compare_to", null)),
      element("span", "ciops-x-hint", comparing === null ? "" : `compared with ${time.since}`),
    );
    if (held) this.timeRow.querySelector<HTMLElement>(`[data-key="${held}"]`)?.focus();
  }

  private step(by: number): void {
    const moments = this.world.moments;
    if (!moments) return;
    this.go(Math.min(Math.max(this.place() + by, 0), moments.length));
  }

  private go(place: number): void {
    this.set("as_of", this.world.moments?.[place]?.at ?? null);
  }

  private set(name: "as_of" | "compare_to", value: string | null): void {
    this.model.set(name, value);
    this.model.save_changes();
  }

  // Asking

  private ask(kind: "expand" | "collapse", node: number | null = this.selected): void {
    if (node === null || this.alone) return;
    if (node !== this.selected) this.select(node);
    this.model.send({ kind, codes: [this.world.nodes.get(node)!.code] });
  }

  private mark(what: string): void {
    if (what === "impact" && this.alone) return;
    const pressed = what !== "" && this.world.rest.marks?.kind === what;
    const codes = what === "path" ? this.model.get("selection").slice(-2) : this.selected === null ? [] : [this.model.get("selected")!];
    if (what !== "" && !pressed && codes.length < (what === "path" ? 2 : 1)) return;
    this.model.send({ kind: "mark", what: pressed && codes[0] === this.marked ? "" : what, codes });
    this.marked = pressed ? "" : (codes[0] ?? "");
  }
  private marked = "";

  private toggleKeys(): void {
    this.keys.hidden = !this.keys.hidden;
    this.buttons.help!.setAttribute("aria-pressed", String(!this.keys.hidden));
  }

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || (target instanceof HTMLInputElement && target.type !== "range")) return;
    const inList = this.list.contains(target);
    const onButton = target instanceof HTMLButtonElement;
    if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") {
      if (inList) this.walkList(event);
      else if (target === this.bed) this.walk(event);
      return;
    }
    if ((event.key === "Enter" || event.key === " ") && onButton) return; // the button's own
    if (event.key === " " && target === this.bed && event.shiftKey && this.selected !== null) {
      this.select(this.selected, true);
      event.preventDefault();
      return;
    }
    const acts: Record<string, () => void> = {
      Enter: () => this.ask("expand"),
      e: () => this.ask("expand"),
      c: () => this.ask("collapse"),
      u: () => this.mark("upstream"),
      d: () => this.mark("downstream"),
      i: () => this.mark("impact"),
      p: () => this.mark("path"),
      x: () => this.mark(""),
      f: () => this.canvas.fit(),
      l: () => this.toggleList(),
      t: () => this.toggleTime(),
      "[": () => this.step(-1),
      "]": () => this.step(1),
      "+": () => this.canvas.zoom(1.35),
      "=": () => this.canvas.zoom(1.35),
      "-": () => this.canvas.zoom(1 / 1.35),
      "/": () => this.search.focus(),
      "?": () => this.toggleKeys(),
      Escape: () => (this.keys.hidden ? this.select(null) : this.toggleKeys()),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  private walk(event: KeyboardEvent): void {
    event.preventDefault();
    event.stopPropagation();
    const { selected, world } = this;
    if (selected === null) return this.select(world.rest.roots[0] ?? world.nodes.keys().next().value ?? null);
    const others = event.shiftKey ? [...world.nodes.keys()] : (world.links.get(selected) ?? []).map((edge) => world.other(edge, selected));
    const to = this.canvas.toward(selected, event.key, others);
    if (to !== null) this.select(to);
    else this.live.textContent = `No ${event.shiftKey ? "item" : "neighbour"} that way. ${spoken(world, selected)}`;
  }
}

/** The colours of the host, each laid on its surface: a canvas knows no half transparent ink. */
function hostColours(root: Element): Colours {
  // Before it is in the page nothing is inherited, and a second look at thousands of nodes would cost.
  const at = root.isConnected ? root : document.body.appendChild(root.cloneNode(false) as Element);
  const probe = at.appendChild(element("span"));
  const channels = (role: string): number[] => {
    probe.style.color = `var(--x-${role})`;
    const found = getComputedStyle(probe).color.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0];
    return found.length > 3 ? found : [...found, 1];
  };
  const surface = channels("surface");
  const colours: Colours = {};
  for (const role of ["ink", "muted", "faint", "surface", "panel", "accent"]) {
    const own = channels(role);
    const mixed = own.slice(0, 3).map((value, i) => Math.round(value * own[3]! + surface[i]! * (1 - own[3]!)));
    colours[role] = `rgb(${mixed.join(", ")})`;
  }
  probe.remove();
  if (at !== root) at.remove();
  return colours;
}

function group(...parts: Element[]): HTMLElement {
  const made = element("div", "ciops-x-group");
  made.append(...parts);
  return made;
}

function pairs(facts: [string, string][]): HTMLElement {
  const made = element("dl");
  for (const [name, value] of facts) made.append(element("dt", "", name), element("dd", "", value));
  return made;
}

function keysTable(alone: boolean): HTMLElement {
  const made = element("dl");
  for (const [key, what, asks] of KEYS) if (!(alone && asks)) made.append(element("dt", "", key), element("dd", "", what));
  return made;
}

function worldOf(model: Model): World {
  const known = worlds.get(model) ?? new World(model);
  worlds.set(model, known);
  return known;
}

export default {
  initialize({ model }: { model: Model }) {
    const world = worldOf(model);
    return () => world.end();
  },
  render({ model, el }: Pick<RenderProps<Trait>, "model" | "el">) {
    const view = new View(model, worldOf(model), el, `ciops-x-${(views += 1)}`);
    return () => view.end();
  },
};
