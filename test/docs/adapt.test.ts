/** docs/adapt.md in practice: examples/notes turns a copy of src/ into a notes service, which is checked and run. */
import { execFile } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Validator } from "@cfworker/json-schema";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { build } from "../../examples/notes/build.ts";
import type * as document from "../../openapi/document.ts";
import { KV_STALE_MS } from "../../src/config.ts";
import type worker from "../../src/index.ts";
import { anEndpoint, cutCall, endpointId } from "../crash/scenario.ts";
import { pass } from "../support/virtual-clock.ts";
import { openWorld, type World } from "../support/world.ts";

const root = path.resolve(import.meta.dirname, "../..");
const doc = readFileSync(path.join(root, "docs/adapt.md"), "utf8");
const copy = mkdtempSync(path.join(tmpdir(), "notes-"));

beforeAll(() => {
  build(copy);
  for (const file of ["tsconfig.json", "worker-configuration.d.ts"]) {
    cpSync(path.join(root, file), path.join(copy, file));
  }
  // openapi/ runs in Node.
  const types = ["node", "@cloudflare/workers-types", "./worker-configuration.d.ts"];
  const all = {
    extends: "./tsconfig.json",
    compilerOptions: { types },
    include: ["src", "openapi/document.ts", "worker-configuration.d.ts"],
  };
  writeFileSync(path.join(copy, "tsconfig.all.json"), JSON.stringify(all));
  symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"));
});
afterAll(() => rmSync(copy, { recursive: true }));

/** The text of each file under src/, or another folder, by its path there. */
function sources(project: string, folder = "src"): Map<string, string> {
  const src = path.join(project, folder);
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).sort();
  return new Map(
    files
      .filter((file) => file.endsWith(".ts"))
      .map((file) => [file, readFileSync(path.join(src, file), "utf8")]),
  );
}

/** Files that are changed or new in the copy. */
function changes(folder: string): string[] {
  const before = sources(root, folder);
  return [...sources(copy, folder)].flatMap(([file, text]) =>
    before.get(file) === text ? [] : [file],
  );
}

describe("the recipe for another noun", () => {
  it("changes only files that it names, none of event/ and convoy/, and removes only todo/", () => {
    const changed = changes("src");
    expect(changed).toEqual([
      "answers.ts",
      "app.ts",
      "config.ts",
      "note/change.ts",
      "note/kv.ts",
      "note/routes.ts",
      "note/schema.ts",
      "resource.ts",
    ]);
    const after = sources(copy);
    const gone = [...sources(root).keys()].filter((file) => !after.has(file));
    expect(gone).toEqual(["todo/change.ts", "todo/kv.ts", "todo/routes.ts", "todo/schema.ts"]);
    const named = [...changed.map((file) => path.basename(file)), ...changes("openapi")];
    expect(named.filter((name) => !doc.includes(`\`${name}\``))).toEqual([]);
  });

  it("can rely on only answers.ts, app.ts and resource.ts importing todo/", () => {
    const users = [...sources(root)].filter(([, text]) => /from "\.\.?\/todo\//.test(text));
    expect(users.map(([file]) => file)).toEqual(["answers.ts", "app.ts", "resource.ts"]);
  });

  it("makes a service that passes tsc", async () => {
    const tsc = path.join(root, "node_modules/.bin/tsc");
    const checked = await promisify(execFile)(tsc, [
      "-p",
      path.join(copy, "tsconfig.all.json"),
    ]).catch((error) => error);
    expect(checked.stdout).toBe("");
  });

  it("makes an API document of notes, whose webhook examples fit their schemas", async () => {
    const file = path.join(copy, "openapi/document.ts");
    const { buildDocument } = (await import(/* @vite-ignore */ file)) as typeof document;
    const made = buildDocument();
    expect(Object.keys(made.paths)).toEqual(
      expect.arrayContaining(["/note", "/note/{id}", "/event"]),
    );
    expect(JSON.stringify(made).match(/"\/todo|Todo|"item"/g)).toBeNull();
    for (const [name, { post }] of Object.entries(made.webhooks)) {
      const { schema, example } = post.requestBody.content["application/json"];
      expect(new Validator(schema as object, "2020-12").validate(example), name).toMatchObject({
        valid: true,
      });
    }
  });
});

describe("the notes service", () => {
  let world: World;
  beforeAll(async () => {
    const file = path.join(copy, "src/index.ts");
    const made = (await import(/* @vite-ignore */ file)) as { default: typeof worker };
    world = openWorld({ worker: made.default });
  });
  beforeEach(async () => {
    await world.reset();
    await anEndpoint(world);
  });
  afterAll(() => world?.close());

  const NOTE = { id: 1, title: "Shopping", body: "milk", pinned: false };
  const create = () => world.ask("POST", "/note", { id: 1, title: "Shopping", body: "milk" });
  /** `event` and `note` of what Convoy took, each once, in the order of commit. */
  const webhooks = async () => {
    const accepted = await world.convoy.accepted();
    expect(new Set(accepted.map(({ key }) => key)).size).toBe(accepted.length);
    return accepted
      .map(({ body }) => JSON.parse(body) as Record<string, unknown>)
      .sort((a, b) => Number(a.sequence) - Number(b.sequence))
      .map(({ event, description, note }) => ({ event, description, note }));
  };

  it("sends a webhook with the note for each change", async () => {
    const created = await create();
    expect(created).toMatchObject({ status: 201, answer: { data: "Note added", note: NOTE } });
    await world.ask("PUT", "/note/1", { pinned: true });
    await world.ask("DELETE", "/note/1");
    expect(await webhooks()).toEqual([
      { event: "created", description: "Note created", note: NOTE },
      { event: "updated", description: "Note updated", note: { ...NOTE, pinned: true } },
      { event: "deleted", description: "Note deleted", note: { id: 1 } },
    ]);
  });

  it("returns notes, refuses invalid ones, and has no todos", async () => {
    await create();
    await world.rest();
    expect((await world.ask("GET", "/note")).answer).toEqual({ data: [NOTE] });
    expect((await world.ask("POST", "/note", { title: "" })).status).toBe(400);
    expect((await world.ask("POST", "/note", { item: "milk" })).status).toBe(400);
    expect((await world.ask("POST", "/todo", { item: "milk" })).status).toBe(404);
    const missing = await world.ask("PUT", `/note/2?endpoint=${endpointId(world)}`, { title: "x" });
    expect(missing).toMatchObject({ status: 404, answer: { error: "Note not found" } });
    expect((await webhooks()).at(-1)).toEqual({
      event: "failure",
      description: "Note not found.",
      note: { id: 2 },
    });
  });

  it("has the cron send and store what a crash left behind", async () => {
    await create();
    const patch = { pinned: true };
    await cutCall(world, ["KV put"], "PUT", "/note/1", patch);
    await cutCall(world, ["Convoy POST /events/fanout"], "POST", "/note", {
      id: 2,
      title: "Calls",
    });
    expect(await webhooks()).toHaveLength(1);
    await world.rest();
    expect(await webhooks()).toEqual([
      { event: "created", description: "Note created", note: NOTE },
      { event: "updated", description: "Note updated", note: { ...NOTE, ...patch } },
      {
        event: "created",
        description: "Note created",
        note: { id: 2, title: "Calls", body: "", pinned: false },
      },
    ]);
    expect((await world.ask("GET", "/note/1")).answer).toEqual({ ...NOTE, ...patch });
    expect(world.states()).toEqual({ confirmed: 3 });
  });

  it("has the scrub restore a note that KV has lost", async () => {
    await create();
    await world.rest();
    world.kv.clear();
    await world.recover();
    await pass(KV_STALE_MS); // until KV's stale reads end
    expect((await world.ask("GET", "/note/1")).answer).toEqual(NOTE);
  });
});
