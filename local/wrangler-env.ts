/**
 * To be imported before anything runs wrangler: it then reports nothing, looks for no update, writes
 * no log, and fetches no example of a request's `cf`. A variable that is set already stays.
 */
const QUIET = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

for (const [name, value] of Object.entries(QUIET)) process.env[name] ??= value;
