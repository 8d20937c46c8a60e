/**
 * npm run rebuild -- --url URL [--from log|kv] [--dry-run]: makes KV and the log agree, page by page, and
 * prints each resource that differed (docs/operate.md). The operator's token is TOKEN from the environment, or
 * is made with AUTH_SECRET, as `npm run token` does.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Health } from "../src/answers.ts";
import type { Rebuilt } from "../src/outbox/answers.ts";
import { mintToken, OPERATOR_SCOPE } from "../src/token.ts";
import { argumentsOf, command } from "./command.ts";
import { devVars } from "./dotenv.ts";

const USAGE = "Usage: npm run rebuild -- --url https://… [--from log|kv] [--dry-run]";
/** Lifetime of an operator's token made here: as long as a large log may take. */
const TOKEN_S = 6 * 3_600;
/** How many times a page is requested if the Worker or the network fails. */
const TRIES = 5;
const RETRY_MS = 1_000;

await command(async () => {
  const { values } = argumentsOf(USAGE, {
    options: {
      url: { type: "string" },
      from: { type: "string", default: "log" },
      "dry-run": { type: "boolean", default: false },
    },
  });
  const { from, "dry-run": dryRun } = values;
  const url = URL.parse(values.url ?? "");
  const isHttp = /^https?:$/.test(url?.protocol ?? "");
  if (!url || !isHttp || !/^(log|kv)$/.test(from)) throw new Error(USAGE);
  const call = callerOf(url, await tokenOf());
  const { checked, differed } = await rebuild(call, from, dryRun);
  console.log(`${checked} resources compared, ${differed} differed.`);
  if (dryRun && differed > 0) console.log("Nothing was changed: to change it, omit --dry-run.");
  if (dryRun || differed === 0) return;
  const { unprojected } = await call<Health>("GET", "/health?deep");
  const left = unprojected?.changes ?? 0;
  console.log(
    left === 0
      ? "KV has the last change of every resource."
      : `KV still lacks ${left} changes: the cron puts them. GET /health?deep shows how many are left.`,
  );
});

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
      let why = `${url.origin} does not answer: `;
      let final = false;
      if (answer instanceof Error) why += answer.message;
      else {
        const { ok, status } = answer;
        // What is not healthy is still an answer about health.
        if (ok || (path.startsWith("/health") && status === 503)) return (await answer.json()) as T;
        why = `${method} ${path}: ${status} ${await answer.text()}`;
        final = status < 500 && status !== 429;
      }
      if (final || attempt === TRIES) throw new Error(why);
      await sleep(RETRY_MS * 2 ** attempt);
    }
  };
}

async function rebuild(call: Call, from: string, dryRun: boolean) {
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
