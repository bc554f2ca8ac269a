// The shapes of types, named as the pictures name them, for the canvas and the legend.
import type cytoscape from "cytoscape";

const shapes: Record<string, cytoscape.Css.NodeShape> = {
  h: "hexagon",
  o: "ellipse",
  s: "rectangle",
  "^": "triangle",
  D: "diamond",
  p: "pentagon",
  v: "vee",
  P: "octagon",
  "*": "star",
  X: "concave-hexagon",
  "8": "heptagon",
};

export function shapeOf(marker: string): cytoscape.Css.NodeShape {
  return shapes[marker] ?? "round-rectangle";
}

const corners: Record<string, number> = { h: 6, "^": 3, D: 4, p: 5, P: 8, "8": 7, "*": 5, X: 6, v: 3 };
const svg = "http://www.w3.org/2000/svg";

function drawn(tag: string, attributes: Record<string, string | number>): SVGElement {
  const made = document.createElementNS(svg, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

function frame(width: number): SVGElement {
  return drawn("svg", { width, height: 16, viewBox: `0 0 ${width} 16`, "aria-hidden": "true" });
}

/** A sample of a type for the legend. */
export function typeSample(marker: string, fill: string, stroke: string): SVGElement {
  const made = frame(16);
  const look = { fill, stroke, "stroke-width": 1 };
  if (marker === "o") made.append(drawn("circle", { cx: 8, cy: 8, r: 5.5, ...look }));
  else if (marker === "s") made.append(drawn("rect", { x: 3, y: 3, width: 10, height: 10, ...look }));
  else {
    const count = corners[marker] ?? 4;
    const points = Array.from({ length: count }, (_, i) => {
      const turn = ((marker === "h" || marker === "X" ? i : i - count / 4) * 2 * Math.PI) / count;
      return `${(8 + 6.5 * Math.cos(turn)).toFixed(2)},${(8 + 6.5 * Math.sin(turn)).toFixed(2)}`;
    });
    made.append(drawn("polygon", { points: points.join(" "), ...look }));
  }
  return made;
}

/** A sample of a relation for the legend. */
export function relationSample(stroke: string, dashes: number[], arrow: boolean): SVGElement {
  const made = frame(34);
  made.append(
    drawn("line", { x1: 1, y1: 8, x2: arrow ? 26 : 33, y2: 8, stroke, "stroke-width": 1.6, "stroke-dasharray": dashes.map((d) => d * 1.6).join(" ") || "none" }),
  );
  if (arrow) made.append(drawn("polygon", { points: "33,8 25,4.5 25,11.5", fill: stroke }));
  return made;
}

/** A sample of an outline for the legend. */
export function outlineSample(stroke: string, dashes: string, fill: string, double = false): SVGElement {
  const made = frame(16);
  if (double) {
    for (const r of [6.5, 3.5]) made.append(drawn("circle", { cx: 8, cy: 8, r, fill: "none", stroke, "stroke-width": 1.3 }));
    return made;
  }
  made.append(drawn("circle", { cx: 8, cy: 8, r: 5.5, fill, stroke, "stroke-width": 2.4, "stroke-dasharray": dashes }));
  return made;
}
