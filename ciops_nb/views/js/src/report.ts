// Lets the graphs of a report be explored by those who allow scripts: below each picture a button that opens it.
import explorer from "./explorer";
import { Still } from "./explorer/still";
import { element } from "./host";

// Where this stands, cytoscape puts no style sheet into the page, which the page's own policy would refuse; ours has what
// is in it.
const stands = element("meta");
stands.id = "__________cytoscape_stylesheet";
document.head.append(stands);

for (const place of document.querySelectorAll<HTMLElement>("[data-explore]")) {
  const button = element("button", "", "Explore this graph");
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  const bed = element("div");
  let begun = false;
  button.addEventListener("click", () => {
    bed.hidden = begun && !bed.hidden;
    button.textContent = bed.hidden ? "Explore this graph" : "Close the explorer";
    button.setAttribute("aria-expanded", String(!bed.hidden));
    if (begun) return;
    begun = true;
    const told = document.getElementById(place.dataset.explore!)!.textContent!;
    explorer.render({ model: new Still(JSON.parse(told)).model, el: bed });
  });
  place.append(button, bed);
}
