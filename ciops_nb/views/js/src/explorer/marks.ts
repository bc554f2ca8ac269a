// What is laid over a graph where no Python runs: the same as views/explored.py lays over it, of what is on screen.
import type { Marks, World } from "./world";

type Way = "upstream" | "downstream";
type Steps = Map<number, [to: number, edge: number][]>;

/** What lies upstream of a node (what it needs) or downstream (what is hurt when it fails), with hops. */
export function along(world: World, node: number, way: Way): Marks {
  const steps = stepsOf(world, way);
  const from = reached(node, (one) => steps.get(one)!.map(([to]) => to));
  const hops = new Map<number, number>();
  for (const [one, before] of from) hops.set(one, before === null ? 0 : hops.get(before)! + 1);
  const edges = [...hops.keys()].flatMap((one) => steps.get(one)!.map(([, edge]) => edge));
  const ends = [...hops.keys()].filter((one) => world.nodes.get(one)!.hidden).length;
  const said = `${counted(hops.size - 1, "CI")} that ${label(world, node)} ${way === "upstream" ? "needs" : "hurts when it fails"}`;
  return {
    kind: way,
    title: ends ? `${said}; neighbours of ${counted(ends, "CI")} are not in this picture` : said,
    nodes: [...hops].map(([one, count]) => [one, "on", one === node ? "" : counted(count, "hop")]),
    edges: [...new Set(edges)].sort((a, b) => a - b),
  };
}

/** A shortest way between two nodes, whichever way its relations go. */
export function wayBetween(world: World, one: number, other: number): Marks {
  const near = (node: number) => {
    const others = new Set(world.links.get(node)!.map((edge) => world.other(edge, node)));
    return [...others].sort((a, b) => (label(world, a) < label(world, b) ? -1 : 1));
  };
  const from = reached(one, near);
  const way: number[] = [];
  for (let at: number | null | undefined = from.has(other) ? other : null; at != null; at = from.get(at)) way.unshift(at);
  const ends = `from ${label(world, one)} to ${label(world, other)}`;
  const pairs = new Set(way.slice(1).map((node, place) => [way[place]!, node].sort().join()));
  return {
    kind: "path",
    title: way.length ? `1 way ${ends}, the shortest of ${counted(way.length - 1, "hop")}` : `No way ${ends} in this picture`,
    nodes: way.map((node, place) => [node, "on", place === 0 ? "start" : node === other ? "end" : `step ${place}`]),
    edges: [...world.edges].filter(([, { from, to }]) => pairs.has([from, to].sort().join())).map(([edge]) => edge),
  };
}

/** What each node needs, or who needs it, and by which edge. Ties in both ways count as none. */
function stepsOf(world: World, way: Way): Steps {
  const steps: Steps = new Map([...world.nodes.keys()].map((node) => [node, []]));
  for (const [edge, { from, to, type }] of world.edges) {
    const impact = world.rest.look.impacts[type];
    if (impact !== "target_to_source" && impact !== "source_to_target") continue;
    const [who, needs] = impact === "target_to_source" ? [from, to] : [to, from];
    const [at, next] = way === "upstream" ? [who, needs] : [needs, who];
    steps.get(at)!.push([next, edge]);
  }
  return steps;
}

/** All that is reached, each with the node it was reached from; the start has none. */
function reached(start: number, near: (node: number) => number[]): Map<number, number | null> {
  const from = new Map<number, number | null>([[start, null]]);
  for (const node of from.keys()) for (const next of near(node)) if (!from.has(next)) from.set(next, node); // it grows meanwhile
  return from;
}

function label(world: World, node: number): string {
  return world.nodes.get(node)!.label;
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
