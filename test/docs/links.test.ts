/** The documents lead where they say, and name what there is. */
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { SETTING_NAMES } from "../../src/config.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const DOCUMENTS = globSync(["*.md", "docs/*.md", "examples/**/*.md", ".github/**/*.md"], {
  cwd: ROOT,
  exclude: (name) => String(name).includes("node_modules"),
});
const read = (file: string) => readFileSync(path.join(ROOT, file), "utf8");
/** The text without its code, where brackets are no links. */
const prose = (file: string) =>
  read(file)
    .replaceAll(/^ *```[\s\S]*?^ *```/gm, "")
    .replaceAll(/`[^`\n]*`/g, "");

/** As GitHub makes them: lower case, without punctuation, blanks as hyphens. */
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
  test("has no link within the repository that leads nowhere", () => {
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

  test("names only scripts of npm that there are", () => {
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

test("README.md fits what a front door is for", () => {
  expect(read("README.md").split("\n").length).toBeLessThan(150);
});
