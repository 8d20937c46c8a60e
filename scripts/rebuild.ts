/**
 * npm run rebuild -- --url URL [--from log|kv] [--dry-run]: makes KV and the log agree, page by page, and
 * prints each resource that differed (docs/operate.md). The operator's token is TOKEN from the environment, or
 * is made with AUTH_SECRET, as `npm run token` does.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Health } from "../src/answers.ts";
import type { Rebuilt } from "../src/outbox/answers.ts";
import { mintToken, OPERATOR_SCOPE } from "../src/token.ts";
import { devVars } from "./dotenv.ts";

const USAGE = "Usage: npm run rebuild -- --url https://… [--from log|kv] [--dry-run]";
/** Lifetime of an operator's token made here: as long as a large log may take. */
const TOKEN_S = 6 * 3_600;
/** How many times a page is requested if the Worker or the network fails. */
const TRIES = 5;
const RETRY_MS = 1_000;
/** How long to wait for the cron, which runs each minute, to put the rest, and how often to check. */
const REST_MS = 150_000;
const LOOK_MS = 5_000;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  try {
    const { url, from, dryRun } = argumentsOf(argv);
    const call = callerOf(url, await tokenOf());
    const { checked, differed } = await rebuild(call, from, dryRun);
    console.log(`${checked} resources compared, ${differed} differed.`);
    if (dryRun && differed > 0) console.log("Nothing was changed: to change it, omit --dry-run.");
    if (dryRun || differed === 0) return 0;
    const left = await rest(call);
    console.log(
      left === 0
        ? "KV has the last change of every resource."
        : `KV still lacks ${left} changes; the cron continues. GET /health?deep shows how many are left.`,
    );
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

type Arguments = { url: URL; from: "log" | "kv"; dryRun: boolean };

/** @throws Error that states the usage */
function argumentsOf(argv: string[]): Arguments {
  const options = {
    url: { type: "string" },
    from: { type: "string", default: "log" },
    "dry-run": { type: "boolean", default: false },
  } as const;
  const { values } = parse(() => parseArgs({ args: argv, options }));
  const url = URL.parse(values.url ?? "");
  const from = values.from;
  if (!url || !/^https?:$/.test(url.protocol)) throw new Error(USAGE);
  if (from !== "log" && from !== "kv") throw new Error(USAGE);
  return { url, from, dryRun: values["dry-run"] };
}

function parse<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${USAGE}`);
  }
}

/** @throws Error that says what to set */
async function tokenOf(): Promise<string> {
  if (process.env.TOKEN) return process.env.TOKEN;
  const settings = { ...devVars(), ...process.env };
  if (!settings.AUTH_SECRET) {
    throw new Error(
      "Set TOKEN to an operator's token (scope `operator`), or AUTH_SECRET to the Worker's own.",
    );
  }
  return mintToken(settings, "operator", { expiresInS: TOKEN_S, scope: OPERATOR_SCOPE });
}

type Call = <T>(method: string, path: string, body?: object) => Promise<T>;

/** Calls the API, retrying what may be temporary: doing a page twice does no harm. */
function callerOf(url: URL, token: string): Call {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  return async <T>(method: string, path: string, body?: object) => {
    for (let attempt = 1; ; attempt++) {
      const sent = { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) };
      const answer = await fetch(new URL(path, url), sent).catch((error: Error) => error);
      const isHealth = path.startsWith("/health");
      if (!(answer instanceof Error) && (answer.ok || (isHealth && answer.status === 503))) {
        return (await answer.json()) as T;
      }
      const why =
        answer instanceof Error
          ? `${url.origin} does not answer: ${answer.message}`
          : `${method} ${path}: ${answer.status} ${await answer.text()}`;
      const final = !(answer instanceof Error) && answer.status < 500 && answer.status !== 429;
      if (final || attempt === TRIES) throw new Error(why);
      await sleep(RETRY_MS * 2 ** attempt);
    }
  };
}

async function rebuild(call: Call, from: Arguments["from"], dryRun: boolean) {
  const sum = { checked: 0, differed: 0 };
  let cursor: string | undefined;
  do {
    const body = { from, dry_run: dryRun, ...(cursor === undefined ? {} : { cursor }) };
    const page: Rebuilt = await call("POST", "/rebuild", body);
    for (const one of page.data) console.log(JSON.stringify(one));
    sum.checked += page.checked;
    sum.differed += page.data.length;
    cursor = page.cursor;
  } while (cursor !== undefined);
  return sum;
}

/** Waits until the cron has put what exceeded the calls' budget. @returns how many changes KV still lacks */
async function rest(call: Call): Promise<number> {
  for (const ends = Date.now() + REST_MS; ; await sleep(LOOK_MS)) {
    const { unprojected }: Health = await call("GET", "/health?deep");
    if (unprojected?.changes === 0) return 0;
    if (Date.now() >= ends) return unprojected?.changes ?? 0;
  }
}
