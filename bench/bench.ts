/** npm run bench runs speed.ts (which lists its options); `-- log` runs log-size.ts, `-- scale` scale.ts. */
import "../local/wrangler-env.ts";

const others = new Map([
  ["log", "./log-size.ts"],
  ["scale", "./scale.ts"],
]);
await import(others.get(process.argv[2] ?? "") ?? "./speed.ts");
