// Bundles each widget, and what a report has of them, into one module of its own, and writes down whose code is in them.
import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "static");
const widgets = ["explorer", "waterfall"];

await rm(out, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: [...widgets.flatMap((name) => [`src/${name}.ts`, `src/${name}.css`]), "src/report.ts"],
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none", // the licences are written out whole below
  metafile: true,
});

const parts = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (found) parts.add(found[1]);
}
const told = [];
for (const name of [...parts].sort()) {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const text = await readFile(join(folder, "LICENSE"), "utf8");
  told.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
const licences = told.join(`\n${"-".repeat(80)}\n\n`);
await writeFile(join(out, "THIRD_PARTY.txt"), licences);
// A report leaves this place, and takes them along.
const report = join(out, "report.js");
await writeFile(report, `/*\n${licences}*/\n${await readFile(report, "utf8")}`);
