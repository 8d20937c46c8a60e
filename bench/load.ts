/** Sends requests over kept-alive connections: how many per second, and how long each takes. */
import http from "node:http";

/** A request to send, and the status it must get. */
export type Shot = { method: string; path: string; body?: object; status: number };

/** A Worker under load. `next` makes each request; `token` is sent unless it is null. */
export type Target = { url: URL; token: string | null; next: () => Shot };

/** Warm-up before a turn counts, until connections are open and work in waitUntil has reached its level. */
const RUN_IN_MS = 100;

/**
 * Requests per second that a target answers over `connections`, each sending its next request once
 * the last one is answered.
 * @throws Error if an answer has another status
 */
export async function throughput(
  target: Target,
  { connections, ms }: { connections: number; ms: number },
): Promise<number> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  const begins = performance.now() + RUN_IN_MS;
  const ends = begins + ms;
  let answered = 0;
  const ask = async () => {
    while (performance.now() < ends) {
      await send(target, agent);
      const now = performance.now();
      if (now >= begins && now < ends) answered++;
    }
  };
  await Promise.all(Array.from({ length: connections }, ask));
  agent.destroy();
  return (answered * 1_000) / ms;
}

/**
 * Sends `count` requests over `connections`.
 * @returns how long each took, in milliseconds
 * @throws Error if an answer has another status
 */
export async function latencies(
  target: Target,
  { connections, count }: { connections: number; count: number },
): Promise<number[]> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  const times: number[] = [];
  let left = count;
  const ask = async () => {
    while (left-- > 0) {
      const begun = performance.now();
      await send(target, agent);
      times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: connections }, ask));
  agent.destroy();
  return times;
}

function send({ url, token, next }: Target, agent: http.Agent): Promise<void> {
  const { method, path, body, status } = next();
  const text = body && JSON.stringify(body);
  const headers = {
    ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
    ...(text ? { "Content-Type": "application/json", "Content-Length": text.length } : {}),
  };
  const { hostname, port } = url;
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, hostname, port, method, path, headers }, (response) => {
      response.resume().on("error", reject).on("end", resolve);
      if (response.statusCode !== status) {
        reject(new Error(`${method} ${path} answered ${response.statusCode}, not ${status}`));
      }
    });
    request.on("error", reject).end(text);
  });
}
