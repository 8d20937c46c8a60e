/** npm run bench runs speed.ts (which lists its options); `-- log` runs log-size.ts. */
import "../local/wrangler-env.ts";

await import(process.argv[2] === "log" ? "./log-size.ts" : "./speed.ts");
