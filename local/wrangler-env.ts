/**
 * Import this before anything runs wrangler: it then sends no metrics, checks for no update, writes no
 * log, and fetches no sample of a request's `cf`. A variable that is already set stays.
 */
const QUIET = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

for (const [name, value] of Object.entries(QUIET)) process.env[name] ??= value;
