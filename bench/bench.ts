/** npm run bench: speed.ts, whose options it says. npm run bench -- log: log-size.ts. */
import "../local/wrangler-env.ts";

await import(process.argv[2] === "log" ? "./log-size.ts" : "./speed.ts");
