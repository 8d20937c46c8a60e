/** The documents' links work, and what they name exists. */
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { SETTING_NAMES } from "../../src/settings.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const DOCUMENTS = globSync(["*.md", "docs/*.md", "examples/**/*.md", ".github/**/*.md"], {
  cwd: ROOT,
  exclude: (name) => String(name).includes("node_modules"),
});
const read = (file: string) => readFileSync(path.join(ROOT, file), "utf8");
/** The text without its code, where brackets are not links. */
const prose = (file: string) =>
  read(file)
    .replaceAll(/^ *```[\s\S]*?^ *```/gm, "")
    .replaceAll(/`[^`\n]*`/g, "");

/** Anchors as GitHub makes them: lower case, without punctuation, spaces as hyphens. */
function anchorsOf(file: string): string[] {
  const headings = read(file)
    .replaceAll(/^ *```[\s\S]*?^ *```/gm, "")
    .matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, text = ""]) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-"),
  );
}

describe.each(DOCUMENTS)("%s", (file) => {
  test("has no broken link within the repository", () => {
    const links = prose(file).matchAll(/\]\(([^)\s]+)\)|(?:srcset|src)="([^"]+)"/g);
    const broken = [...links].flatMap(([, link, source]) => {
      const [to = "", anchor] = (link ?? source ?? "").split("#");
      if (/^[a-z]+:/.test(to)) return [];
      const target = to === "" ? file : path.join(path.dirname(file), to);
      if (!existsSync(path.join(ROOT, target))) return [`${to} is not there`];
      return anchor && !anchorsOf(target).includes(anchor) ? [`${to} has no #${anchor}`] : [];
    });
    expect(broken).toEqual([]);
  });

  test("names only npm scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json"));
    const named = [...read(file).matchAll(/npm run (?:--silent )?([a-z]\w*)/g)];
    const missing = named.map(([, name = ""]) => name).filter((name) => !(name in scripts));
    expect(missing).toEqual([]);
  });
});

test("docs/settings.md has every setting, and no other", () => {
  const rows = read("docs/settings.md")
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  const named = rows.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  expect(named.sort()).toEqual([...SETTING_NAMES].sort());
});

test("README.md has fewer than 150 lines", () => {
  expect(read("README.md").split("\n").length).toBeLessThan(150);
});
