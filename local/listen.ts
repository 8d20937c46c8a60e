/** Servers on this machine. */
import type { Server } from "node:http";
import { type AddressInfo, createServer, type Server as NetServer } from "node:net";

/** Loopback only: a development machine exposes nothing to its network. */
export const HOST = "127.0.0.1";

/** Listens; 0 is a free port. @returns the port. @throws the system's error, such as EADDRINUSE */
export function listen(server: NetServer, port: number, host = HOST): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

/** Ends a server and its connections. */
export function end(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Whether a port is free; 0 finds one. @returns the port. @throws the system's error if it is not */
export async function freePort(port = 0): Promise<number> {
  const server = createServer();
  const free = await listen(server, port);
  await new Promise((resolve) => server.close(resolve));
  return free;
}
