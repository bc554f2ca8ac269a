// What both widgets need of the page that they are in.

/** An element with a class and a text; whatever the text holds, it is shown and not read as HTML. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/**
 * Whether the page is dark: by what is behind *at*, since hosts name their themes in ways of their own. A host may draw
 * before it puts *at* into its page: until then the page itself is asked.
 */
export function isDark(at: Element): boolean {
  for (let node: Element | null = at.isConnected ? at : document.body; node; node = node.parentElement) {
    const channels = getComputedStyle(node).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
    const [red = 255, green = 255, blue = 255, alpha = 1] = channels;
    if (channels.length >= 3 && alpha > 0.5) return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Calls *changed* when the theme of the host may have changed; gives what ends that. */
export function onTheme(changed: () => void): () => void {
  const watch = new MutationObserver(changed);
  const options = { attributes: true, attributeFilter: ["class", "style", "data-jp-theme-light", "data-theme"] };
  for (const node of [document.documentElement, document.body]) watch.observe(node, options);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", changed);
  return () => {
    watch.disconnect();
    scheme.removeEventListener("change", changed);
  };
}
