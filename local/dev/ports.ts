/** Checks that ports are free, before anything is started, so that a "no" leaves nothing behind. */
import { createServer } from "node:net";
import { HOST } from "./numbers.ts";

/**
 * Whether a port can be used.
 * @returns undefined if it is free, else the system's reason, such as EADDRINUSE or EACCES
 */
export async function whyTaken(port: number): Promise<string | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, HOST, () => server.close(() => resolve(undefined)));
  });
}

/**
 * The message for a port that cannot be used.
 * @param flag the argument that chooses another one
 */
export function portMessage(what: string, port: number, flag: string, reason: string): string {
  const why =
    reason === "EADDRINUSE" ? "is taken by another program" : `cannot be used (${reason})`;
  return `Port ${port} for ${what} ${why}: end that program or choose another port with npm run dev -- ${flag} ${port + 10}`;
}
