/** npm run bench: speed.ts, whose options it says. npm run bench -- log: log-size.ts. npm run bench -- scale: scale.ts. */
import "../local/wrangler-env.ts";

const others = new Map([
  ["log", "./log-size.ts"],
  ["scale", "./scale.ts"],
]);
await import(others.get(process.argv[2] ?? "") ?? "./speed.ts");
