/** What GitHub reads: it parses, and fits the repository. GitHub itself is not asked. */
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseYaml } from "@redocly/openapi-core";
import { describe, expect, test } from "vitest";

const ROOT = path.resolve(import.meta.dirname, "../..");
const read = (file: string) => readFileSync(path.join(ROOT, file), "utf8");
const yaml = <T>(file: string) => parseYaml(read(file)) as T;
const list = (folder: string) => readdirSync(path.join(ROOT, folder)).map((n) => `${folder}/${n}`);

type Step = { uses?: string; run?: string; env?: Record<string, string>; with?: object };
type Job = {
  if?: string;
  uses?: string;
  needs?: string;
  "runs-on"?: string;
  "timeout-minutes"?: number;
  steps?: Step[];
};
type Workflow = {
  name: string;
  on: Record<string, unknown>;
  permissions: object;
  jobs: Record<string, Job>;
};

const WORKFLOWS = list(".github/workflows");
const { scripts, engines } = JSON.parse(read("package.json"));

describe.each(WORKFLOWS)("%s", (file) => {
  const workflow = yaml<Workflow>(file);
  const jobs = Object.values(workflow.jobs);
  const steps = jobs.flatMap((job) => job.steps ?? []);

  test("may only read, and pins actions to commits", () => {
    expect(workflow.permissions).toEqual({ contents: "read" });
    for (const { uses } of steps) if (uses) expect(uses).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
    for (const { uses } of jobs) if (uses) expect(existsSync(path.join(ROOT, uses))).toBe(true);
  });

  test("runs what exists, with the oldest Node allowed, and has a time limit", () => {
    for (const { run } of steps) {
      if (run === undefined) continue;
      const script = /^npm run (\w+)$/.exec(run)?.[1];
      if (script) expect(scripts).toHaveProperty(script);
      else accessSync(path.join(ROOT, run), constants.X_OK);
    }
    for (const job of jobs.filter(({ steps: own }) => own)) {
      expect(job["runs-on"]).toMatch(/^ubuntu-\d+\.\d+$/);
      expect(job["timeout-minutes"]).toBeLessThanOrEqual(30);
    }
    const nodes = steps.flatMap((step) =>
      step.uses?.startsWith("actions/setup-node@") ? [step.with] : [],
    );
    for (const node of nodes)
      expect(engines.node).toMatch(
        new RegExp(`^\\^${(node as { "node-version": number })["node-version"]}\\.`),
      );
  });
});

test("a fork deploys nothing until its owner says so, and then only what has passed the checks", () => {
  const { jobs, on } = yaml<Workflow>(".github/workflows/deploy.yml");
  expect(Object.keys(on)).not.toContain("pull_request");
  const { check, deploy } = jobs;
  // A job whose `needs` is skipped is skipped, too.
  expect(check?.if?.split(" && ")).toEqual([
    "vars.CLOUDFLARE_ACCOUNT_ID != ''",
    "github.ref == format('refs/heads/{0}', github.event.repository.default_branch)",
  ]);
  expect(deploy?.needs).toBe("check");
  const secrets = WORKFLOWS.filter((file) => read(file).includes("secrets."));
  expect(secrets).toEqual([".github/workflows/deploy.yml"]);
});

test("Dependabot covers npm and the actions", () => {
  const { version, updates } = yaml<{
    version: number;
    updates: { "package-ecosystem": string }[];
  }>(".github/dependabot.yml");
  expect(version).toBe(2);
  expect(updates.map((one) => one["package-ecosystem"])).toEqual(["npm", "github-actions"]);
});

test("issue forms have what GitHub requires", () => {
  for (const file of list(".github/ISSUE_TEMPLATE")) {
    if (file.endsWith("config.yml")) continue;
    type Field = { type: string; id?: string; attributes: { label?: string; value?: string } };
    const form = yaml<{ name: string; description: string; body: Field[] }>(file);
    expect(form).toMatchObject({ name: expect.any(String), description: expect.any(String) });
    const ids = form.body.flatMap(({ id }) => id ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { type, attributes } of form.body) {
      expect(["markdown", "textarea", "input", "dropdown"]).toContain(type);
      expect(type === "markdown" ? attributes.value : attributes.label).toBeTruthy();
    }
  }
});

test(".dev.vars.example names the Worker's secrets, and contains none", async () => {
  const lines = read(".dev.vars.example")
    .split("\n")
    .filter((line) => /^\w/.test(line));
  expect(lines).toEqual(["AUTH_SECRET=", "CONVOY_API_KEY=", "CONVOY_PROJECT_ID="]);
});
